"""Stores into the spool as its counters and the ring tell of them: the models of
`bus/src/drain/models/spool.rs` must notice."""

from mutants import Equivalent, Mutation, loom

STORE = "bus/src/spool.rs"
DRAIN = "bus/src/drain/mod.rs"
MODELS = loom("spool")

MUTATIONS = [
    # A store is counted as begun before its link, as ended behind that, and then announced.
    Mutation(
        "no fence behind the count of a store that begins",
        STORE,
        "        // Pairs with the fence between the reader's clock and its look at the counts.\n"
        "        fence(Ordering::SeqCst);",
        "",
        MODELS,
    ),
    Mutation(
        "no fence behind the count of a store that ends",
        STORE,
        "        // As in `begin_store`.\n        fence(Ordering::SeqCst);",
        "",
        MODELS,
    ),
    Mutation(
        "no fence behind the announcement of a store",
        "bus/src/control.rs",
        "        // stamped behind this, and a round whose clock is later than that stamp sees this count.\n"
        "        fence(Ordering::SeqCst);",
        "        // stamped behind this, and a round whose clock is later than that stamp sees this count.",
        MODELS,
    ),
    Mutation(
        "no fence between a round's clock and its look at the spool",
        DRAIN,
        "        fence(Ordering::SeqCst);\n        // Behind the clock, too",
        "        // Behind the clock, too",
        MODELS,
    ),
    Mutation(
        "a store is counted as begun behind its link",
        STORE,
        "    usage.iter().for_each(Usage::begin_store);\n"
        "    let added = add_entry(&spool, header, meta, payload, crc);\n",
        "    let added = add_entry(&spool, header, meta, payload, crc);\n"
        "    usage.iter().for_each(Usage::begin_store);\n",
        MODELS,
        is_quick=True,
    ),
    Mutation(
        "a store is counted as ended before its link",
        STORE,
        "    let added = add_entry(&spool, header, meta, payload, crc);\n"
        "    if let Some(usage) = &usage {\n        usage.end_store();\n",
        "    usage.iter().for_each(Usage::end_store);\n"
        "    let added = add_entry(&spool, header, meta, payload, crc);\n"
        "    if let Some(usage) = &usage {\n",
        MODELS,
    ),
    # When the reader asks for what.
    Mutation(
        "the counts of stores are noted as they are behind the look",
        "bus/src/drain/spool_reader.rs",
        "                counters.note_look(stores.filter(|_| is_whole));\n",
        "                counters.note_look(counters.stores().filter(|_| is_whole));\n",
        MODELS,
    ),
    Mutation(
        "whether a store was announced is asked before the round's clock",
        DRAIN,
        "        self.round_ns = sys::boottime_ns();\n",
        "        if self.places.has_replaced_spool(self.is_listing_due) {\n            self.maintain();\n        }\n"
        "        self.round_ns = sys::boottime_ns();\n"
        "        if true {\n            fence(Ordering::SeqCst);\n            self.list_spools();\n"
        "            return self.places.load_tails(&mut self.counts);\n        }\n",
        MODELS,
    ),
    Mutation(
        "the spools are listed before the round's clock",
        DRAIN,
        "        self.round_ns = sys::boottime_ns();\n",
        "        self.list_spools();\n        self.round_ns = sys::boottime_ns();\n"
        "        if true {\n            fence(Ordering::SeqCst);\n"
        "            return self.places.load_tails(&mut self.counts);\n        }\n",
        MODELS,
    ),
    Mutation(
        "a reader that is about to sleep does not look into the spool",
        "bus/src/drain/places.rs",
        "self.has_lane_work() || spools.any(|spool| spool.has_entries(is_listing_forced))",
        "self.has_lane_work() || spools.any(|spool| is_listing_forced && spool.has_entries(true))",
        MODELS,
    ),
    Mutation(
        "a store is announced and wakes nobody",
        "bus/src/oneshot.rs",
        "    doorbell::ring(control.doorbell())\n}",
        "    doorbell::is_retired(control.doorbell())\n}",
        MODELS,
    ),
    # The count of bytes.
    Mutation(
        "two writers count in what has room for one",
        STORE,
        "        self.used_bytes().fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()",
        "        let next = more(self.used_bytes().load(Ordering::Relaxed));\n"
        "        next.iter().for_each(|next| self.used_bytes().store(*next, Ordering::Relaxed));\n"
        "        next.is_some()",
        MODELS,
        is_quick=True,
    ),
    Mutation(
        "who counts out forgets who counts in",
        STORE,
        "        let _ = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);\n",
        "        let next = less(used.load(Ordering::Relaxed));\n"
        "        next.iter().for_each(|next| used.store(*next, Ordering::Relaxed));\n",
        MODELS,
    ),
    Mutation(
        "an entry is linked before its bytes are counted",
        STORE,
        "    if let Some(usage) = &usage\n        && !usage.admit(bytes)\n    {\n",
        "    if let Some(usage) = &usage\n"
        "        && add_entry(&spool, header, meta, payload, crc).is_ok()\n"
        "        && !usage.admit(bytes)\n    {\n",
        MODELS,
    ),
]

EQUIVALENT: list[Equivalent] = []
