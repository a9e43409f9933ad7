//! Producers that send at the same time, a thread each.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use hookring_bus::sys;

use crate::payloads::Payloads;
use crate::peers::{self, Peer, Place};
use crate::stats::thread_time;

/// Records of a batch.
pub(crate) const BATCH: usize = 32;

/// The threads, each with a sender that it made itself.
pub(crate) struct Team {
    members: Vec<Member>,
    /// The sum of a pass of all members through their sets.
    sum: u64,
}

struct Member {
    orders: Option<Sender<Order>>,
    answers: Receiver<Result<Done>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Copy, Clone)]
struct Order {
    cycles: usize,
    in_batches: bool,
}

/// What a turn took.
pub(crate) struct Done {
    /// When the first of them began, in ns of the boot clock.
    pub(crate) start_ns: u64,
    /// CPU time of all of them.
    pub(crate) cpu: Duration,
}

impl Team {
    /// Makes as many senders as the place is for, with payloads of so many bytes.
    pub(crate) fn start(peer: Peer, place: &Place, bytes: usize) -> Result<Team> {
        let count = place.shape.producers;
        let barrier = Arc::new(Barrier::new(count));
        let mut team = Team { members: Vec::new(), sum: 0 };
        for producer in 0..count {
            let payloads = Payloads::new(bytes, false, producer as u32);
            team.sum = team.sum.wrapping_add(payloads.sum());
            let (orders, orders_from) = channel();
            let (answers_to, answers) = channel();
            let (place, barrier) = (place.clone(), Arc::clone(&barrier));
            let thread = thread::spawn(move || {
                let mut sender = match peer.sender(&place) {
                    Ok(sender) => sender,
                    // Nobody waits for an answer to no order: it is the first order's.
                    Err(error) => return drop(answers_to.send(Err(error))),
                };
                let ready = Done { start_ns: 0, cpu: Duration::ZERO };
                let mut answer = Ok(ready);
                while answers_to.send(answer).is_ok() {
                    let Ok(order) = orders_from.recv() else { break };
                    answer = send(sender.as_mut(), &payloads, order, &barrier);
                }
            });
            let member = Member { orders: Some(orders), answers, thread: Some(thread) };
            member.answer().with_context(|| format!("no sender for {}", peer.name()))?;
            team.members.push(member);
        }
        Ok(team)
    }

    /// The sum of what `cycles` passes send.
    pub(crate) fn sum(&self, cycles: usize) -> u64 {
        self.sum.wrapping_mul(cycles as u64)
    }

    /// Has all of them begin to pass through their sets.
    pub(crate) fn begin(&self, cycles: usize, in_batches: bool) -> Result<()> {
        for member in &self.members {
            let orders = member.orders.as_ref().context("a producer takes no more orders")?;
            orders.send(Order { cycles, in_batches }).map_err(|_| anyhow!("a producer is gone"))?;
        }
        Ok(())
    }

    /// Waits until all have sent everything.
    pub(crate) fn end(&self) -> Result<Done> {
        let mut all = Done { start_ns: u64::MAX, cpu: Duration::ZERO };
        for member in &self.members {
            let done = member.answer()?;
            all.start_ns = all.start_ns.min(done.start_ns);
            all.cpu += done.cpu;
        }
        Ok(all)
    }
}

impl Member {
    fn answer(&self) -> Result<Done> {
        self.answers.recv().context("a producer is gone")?
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn send(
    sender: &mut dyn peers::Sender,
    payloads: &Payloads,
    order: Order,
    barrier: &Barrier,
) -> Result<Done> {
    let set = payloads.run(1);
    let settled = sender.settle();
    barrier.wait();
    settled?;
    let (start_ns, before) = (sys::boottime_ns(), thread_time()?);
    for _ in 0..order.cycles {
        if order.in_batches {
            set.chunks(BATCH).try_for_each(|batch| sender.send_batch(batch))?;
        } else {
            sender.send_each(&set)?;
        }
    }
    Ok(Done { start_ns, cpu: thread_time()? - before })
}
