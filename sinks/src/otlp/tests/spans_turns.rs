//! What outlives its prompt or its session: an end that comes late, or after a restart, makes no second span, and
//! what is told of other prompts, agents and times finds its place.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::spans::MAX_SESSIONS;
use super::*;

/// A script of one step in a second, from the first on: `pre a Task` begins the call `a` of the tool `Task`, `post a`
/// ends it; `start A1` and `over A1` are of a subagent; `bye` is the session's end, `tick` the daemon's word. Then
/// `@A1`: by this subagent; `+P1`: of this prompt; `~s2`: in this session; `=droid`: of this agent; `:3600`: at this
/// second, and what follows is later; `%5000`: took so many milliseconds.
fn told(steps: &[&str]) -> Script {
    let mut script = Script::default();
    let mut at_s = 0;
    for step in steps {
        at_s += 1;
        let mut words = step.split(' ');
        let kind = words.next().expect("a kind");
        let mut members = BTreeMap::new();
        if kind == "tick" {
            members.extend([("session_id", json!(null)), ("namespace", json!("system"))]);
        }
        for word in words {
            let (sign, rest) = word.split_at(1);
            match sign {
                "@" => drop(members.insert("agent_id", json!(rest))),
                "+" => drop(members.insert("prompt_id", json!(rest))),
                "~" => drop(members.insert("session_id", json!(rest))),
                "=" => drop(members.insert("source", json!({"agent": rest}))),
                ":" => at_s = rest.parse().expect("seconds"),
                "%" => drop(members.insert("duration_ms", json!(rest.parse::<u64>().expect("ms")))),
                _ if matches!(kind, "start" | "over") => {
                    members.extend([("agent_id", json!(word)), ("agent_type", json!(word))]);
                }
                _ if members.contains_key("tool_use_id") => {
                    drop(members.insert("tool_name", json!(word)));
                }
                _ => members.extend([("tool_use_id", json!(word)), ("tool_name", json!(word))]),
            }
        }
        let event_type = match kind {
            "prompt" => "prompt.submit",
            "stop" => "turn.end",
            "pre" => "tool.pre",
            "post" => "tool.post",
            "start" => "agent.start",
            "over" => "agent.stop",
            "bye" => "session.end",
            "tick" => "daemon.start",
            other => panic!("what is {other}?"),
        };
        script.add(at_s, event_type, json!(members));
    }
    script
}

/// The tree of all, and how many ends were late.
fn outcome(steps: &[&str]) -> (String, u64) {
    let (spans, finished) = told(steps).run();
    (tree(&finished), spans.counts().late)
}

/// As of a sink that was killed after so many steps and is shown none of them again: what is sent later.
fn after_a_loss(steps: &[&str], lost: usize) -> Vec<Finished> {
    let script = told(steps);
    run(&script.events(false)[lost..]).1
}

#[test]
fn a_call_goes_on_while_the_next_prompt_waits() {
    let (tree, late) = outcome(&["prompt", "pre a", "prompt", "post a", "pre b", "post b", "stop"]);
    let expected = "\
invoke_agent claude-code 1-2 unfinished=true
  execute_tool a 2-4
invoke_agent claude-code 3-7
  execute_tool b 5-6
";
    assert_eq!((&*tree, late), (expected, 0));
}

#[test]
fn an_end_after_the_sessions_end_is_late() {
    let (tree, late) = outcome(&["prompt", "pre a", "bye", "post a", "stop"]);
    let expected = "\
invoke_agent claude-code 1-3 unfinished=true
  execute_tool a 2-3 unfinished=true
";
    assert_eq!((&*tree, late), (expected, 1));
    let (tree, late) = outcome(&["prompt +P", "pre a +P", "bye +P", "post a +P", "stop +P"]);
    assert_eq!((&*tree, late), (expected, 2));
}

#[test]
fn an_end_in_another_prompt_than_its_call_is_late_only_if_that_ended() {
    let steps = ["prompt +P1", "pre a +P1", "post a +P1", "prompt +P2", "post a +P2", "stop +P2"];
    let (tree, late) = outcome(&steps);
    let expected = "\
invoke_agent claude-code 1-3 unfinished=true
  execute_tool a 2-3
invoke_agent claude-code 4-6
";
    assert_eq!((&*tree, late), (expected, 1));
}

/// Some agents count their calls from one in each prompt.
#[test]
fn the_end_of_a_call_is_that_of_its_prompt_where_two_are_called_alike() {
    let (tree, _) = outcome(&["prompt", "pre a", "prompt", "pre a", "post a", "stop", "bye"]);
    let expected = "\
invoke_agent claude-code 1-2 unfinished=true
  execute_tool a 2-7 unfinished=true
invoke_agent claude-code 3-6
  execute_tool a 4-5
";
    assert_eq!(tree, expected);
}

#[test]
fn what_ended_by_silence_stays_known() {
    let steps = ["prompt", "pre a", "tick :3603", "post a", "pre b", "post b", "stop"];
    let expected = "\
invoke_agent claude-code 1-2 unfinished=true
  execute_tool a 2-2 unfinished=true
  execute_tool b 3605-3606
";
    // The second end is the prompt's.
    assert_eq!(outcome(&steps), (expected.to_owned(), 2));
}

#[test]
fn a_subagent_works_on_while_the_next_prompt_is_worked_on() {
    for [second, third] in [["+", "+"], ["+P1", "+P2"], ["+P1", "+P1"]] {
        let of = |step: &str, prompt: &str| match prompt {
            "+" => step.to_owned(),
            prompt => format!("{step} {prompt}"),
        };
        let steps = [
            of("prompt", second),
            of("pre t1 Task", second),
            of("start A1", second),
            of("post t1 Task", second),
            of("stop", second),
            of("prompt", if second == "+" { "+" } else { "+P2" }),
            of("pre x @A1", third),
            of("post x @A1", third),
            of("over A1", third),
            of("stop", if second == "+" { "+" } else { "+P2" }),
        ];
        let (tree, late) = outcome(&steps.each_ref().map(|it| &**it));
        let expected = "\
invoke_agent claude-code 1-5
  execute_tool Task 2-4
    invoke_agent A1 3-9
      execute_tool x 7-8
invoke_agent claude-code 6-10
";
        assert_eq!((&*tree, late), (expected, 0), "{second} {third}");
    }
}

#[test]
fn the_end_of_a_subagent_that_is_told_late_or_twice_makes_no_second_one() {
    let (tree, late) = outcome(&["prompt", "start A1", "bye", "over A1", "prompt", "over A1"]);
    let expected = "\
invoke_agent claude-code 1-3 unfinished=true
  invoke_agent A1 2-3 unfinished=true
";
    assert_eq!((&*tree, late), (expected, 2));
}

#[test]
fn an_end_without_a_name_is_that_of_the_only_subagent_of_its_prompt() {
    let mut script = told(&["prompt", "start A1", "prompt", "start A2"]);
    script.add(5, "agent.stop", json!({})).add(6, "agent.stop", json!({}));
    let (_, finished) = script.run();
    let names: Vec<_> = finished.iter().map(|it| &*it.span.name).collect();
    assert_eq!(names, ["invoke_agent claude-code", "invoke_agent A2", "invoke_agent A1"]);
}

#[test]
fn too_many_sessions_double_no_span() {
    let count = MAX_SESSIONS + 100;
    let mut steps = Vec::new();
    for kinds in [["prompt", "pre c"], ["post c", "stop"]] {
        for at in 0..count {
            steps.extend(kinds.map(|kind| format!("{kind} ~s{at} :1")));
        }
    }
    let steps: Vec<&str> = steps.iter().map(|it| &**it).collect();
    let (spans, finished) = told(&steps).run();
    let calls = finished.iter().filter(|it| it.span.name == "execute_tool c").count();
    assert_eq!((calls, finished.len()), (count, 2 * count));
    let counts = spans.counts();
    assert!(counts.evicted >= 200 && counts.late >= 100, "{counts:?}");
}

#[test]
fn sessions_that_are_over_make_room_first() {
    let mut steps = vec!["prompt ~open".to_owned()];
    for at in 0..MAX_SESSIONS + 100 {
        steps.extend(["prompt", "bye"].map(|kind| format!("{kind} ~s{at} :1")));
    }
    let steps: Vec<&str> = steps.iter().map(|it| &**it).collect();
    let (spans, _) = told(&steps).run();
    assert_eq!(spans.counts().evicted, 0);
}

#[test]
fn the_end_of_a_prompt_that_was_lost_makes_its_root() {
    let steps = ["prompt +P", "pre a +P", "post a +P", "stop +P"];
    let (_, whole) = told(&steps).run();
    for [end, what] in [
        ["stop +P", "4-4 repaired=no_begin"],
        ["stop +P %2000", "2-4 repaired=no_begin"],
        ["bye +P", "4-4 unfinished=true repaired=no_begin"],
    ] {
        let later = after_a_loss(&[steps[0], steps[1], steps[2], end], 3);
        assert_eq!(tree(&later), format!("invoke_agent claude-code {what}\n"));
        assert_eq!(later[0].span.span_id, whole[0].span.parent_span_id);
    }
    let later = after_a_loss(&[steps[0], "start A1 +P", "over A1 +P", "stop +P"], 2);
    let expected = "\
invoke_agent claude-code 3-4 repaired=no_begin
  invoke_agent A1 3-3 repaired=no_begin
";
    assert_eq!(tree(&later), expected);
    // Told once more, it makes no other.
    let later = after_a_loss(&[steps[0], "stop +P", "stop +P", "bye +P"], 1);
    assert_eq!(later.len(), 1);
}

#[test]
fn a_prompt_that_is_told_after_something_of_it_is_as_it_should_be() {
    let (tree, _) = outcome(&["pre a +P", "prompt +P", "post a +P", "stop +P"]);
    assert_eq!(tree, "invoke_agent claude-code 1-4\n  execute_tool a 1-3\n");
}

#[test]
fn what_belongs_to_no_prompt_has_another_root_after_each_end_whoever_counts() {
    let steps = ["pre a", "post a", "bye", "pre b", "post b", "bye"];
    let (_, whole) = told(&steps).run();
    let later = after_a_loss(&steps, 3);
    let spans =
        |finished: &[Finished]| -> Vec<_> { finished.iter().map(|it| it.span.clone()).collect() };
    assert_eq!(spans(&later), spans(&whole[2..]));
    let (first, second) = (&whole[1].span, &later[1].span);
    assert_eq!(first.trace_id, second.trace_id);
    assert_ne!(first.span_id, second.span_id);
}

#[test]
fn subagents_of_subagents_are_nested() {
    let steps = [
        "prompt",
        "pre t1 Task",
        "start A1",
        "pre t2 Task @A1",
        "start A2",
        "pre t3 @A2",
        "post t3 @A2",
        "over A2",
        "post t2 Task @A1",
        "over A1",
        "post t1 Task",
        "stop",
    ];
    let expected = "\
invoke_agent claude-code 1-12
  execute_tool Task 2-11
    invoke_agent A1 3-10
      execute_tool Task 4-9
        invoke_agent A2 5-8
          execute_tool t3 6-7
";
    assert_eq!(outcome(&steps).0, expected);
}

/// They hang below what both calls hang below.
#[test]
fn subagents_of_two_calls_of_a_subagent_are_its_own() {
    let steps = [
        "prompt",
        "pre t1 Task",
        "start A1",
        "pre t2 Task @A1",
        "pre t3 Task @A1",
        "start A2",
        "start A3",
        "stop",
        "bye",
    ];
    let (tree, _) = outcome(&steps);
    for agent in ["A2 6-9", "A3 7-9"] {
        assert!(tree.contains(&format!("\n      invoke_agent {agent}")), "{tree}");
    }
}

#[test]
fn a_subagent_that_works_on_begins_others_below_its_calls() {
    let steps = [
        "prompt",
        "pre t1 Task",
        "start A1",
        "post t1 Task",
        "prompt",
        "pre t2 Task @A1",
        "start A2",
        "bye",
    ];
    let (tree, _) = outcome(&steps);
    assert!(tree.contains("\n        invoke_agent A2 7-8"), "{tree}");
}

#[test]
fn a_call_that_begins_several_subagents_has_them_all() {
    let steps = ["prompt", "pre t1 Task", "start A1", "over A1", "start A2", "over A2", "bye"];
    let (tree, _) = outcome(&steps);
    for agent in ["A1 3-4", "A2 5-6"] {
        assert!(tree.contains(&format!("\n    invoke_agent {agent}")), "{tree}");
    }
}

#[test]
fn what_begins_before_its_parent_by_its_clock_is_moved_and_keeps_its_length() {
    let steps = ["prompt :10000", "pre b :5000", "post b", "pre c", "stop", "post c"];
    let (spans, finished) = told(&steps).run();
    let expected = "\
invoke_agent claude-code 10000-10000 repaired=clock
  execute_tool b 10000-10001 repaired=clock
  execute_tool c 10000-10002 repaired=clock
";
    assert_eq!((tree(&finished), spans.counts().repaired), (expected.to_owned(), 3));
}

/// Also where that is over, and where the clock is right again.
#[test]
fn what_comes_late_begins_no_earlier_than_its_parent() {
    let steps = [
        "prompt :100",
        "stop",
        "pre b +e1 :50",
        "post b :102",
        "prompt :200",
        "start A :90",
        "over A :95",
        "stop :201",
    ];
    let expected = "\
invoke_agent claude-code 100-101
  execute_tool b 100-102 repaired=clock
invoke_agent claude-code 200-201
  invoke_agent A 200-205 repaired=clock
";
    assert_eq!(outcome(&steps).0, expected);
}

/// Only ends are told: the longer one began before the first that was told of.
#[test]
fn what_stands_for_no_prompt_begins_with_what_began_first() {
    let (tree, _) = outcome(&["post a :20 %5000", "post b %10000", "bye"]);
    let expected = "\
invoke_agent claude-code 11-22
  execute_tool b 11-21 repaired=no_begin
  execute_tool a 15-20 repaired=no_begin
";
    assert_eq!(tree, expected);
}

#[test]
fn two_agents_may_call_their_sessions_alike() {
    let steps =
        ["prompt", "pre a", "prompt =droid", "pre a =droid", "post a", "stop", "bye =droid"];
    let (_, finished) = told(&steps).run();
    let expected = "\
invoke_agent claude-code 1-6
  execute_tool a 2-5
invoke_agent droid 3-7 unfinished=true
  execute_tool a 4-7 unfinished=true
";
    assert_eq!(tree(&finished), expected);
    let of_same_ids = told(&["prompt +P", "prompt +P =droid", "bye", "bye =droid"]).run().1;
    assert_ne!(of_same_ids[0].span.trace_id, of_same_ids[1].span.trace_id);
}
