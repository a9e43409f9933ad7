//! What a notification wants, and why something ended.

use hookring_journal::model::EventType;

use crate::agents::{Facts, Field};

/// The word that sums up a notification or an end; `None` for other events.
pub(crate) fn classify(facts: &Facts<'_>) -> Option<&'static str> {
    match facts.kind? {
        EventType::Notify => Some(notification(facts)),
        EventType::PermissionRequest | EventType::ElicitationRequest => Some("input_wanted"),
        EventType::TurnFail => Some(if is_by_user(facts) { "user" } else { "error" }),
        EventType::TurnEnd | EventType::AgentStop | EventType::SessionEnd => Some(end(facts)),
        _ => None,
    }
}

const INPUT_TYPES: &[&str] = &[
    "permission_prompt",
    "idle_prompt",
    "elicitation_dialog",
    "elicitation_url_dialog",
    "agent_needs_input",
    "ToolPermission",
    "permission",
];

fn notification(facts: &Facts<'_>) -> &'static str {
    if let Some(kind) = facts.text(Field::NotificationType) {
        let is_error = kind.contains("error") || kind.contains("fail");
        return match () {
            () if INPUT_TYPES.contains(&&*kind) => "input_wanted",
            () if is_error => "error",
            () => "status",
        };
    }
    // Older agents say it in words only.
    let message = facts.text(Field::Message).unwrap_or_default().to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["permission", "waiting for your input", "needs your", "approve"]) {
        "input_wanted"
    } else if says(&["error", "failed", "failure"]) {
        "error"
    } else {
        "status"
    }
}

fn end(facts: &Facts<'_>) -> &'static str {
    let says_error = |field| {
        let words = ["error", "failed", "failure", "timeout"];
        facts.text(field).is_some_and(|text| words.contains(&&*text))
    };
    if is_by_user(facts) {
        "user"
    } else if says_error(Field::Status)
        || says_error(Field::Reason)
        || facts.get(Field::Error).is_some()
    {
        "error"
    } else {
        "completion"
    }
}

fn is_by_user(facts: &Facts<'_>) -> bool {
    const WORDS: &[&str] = &[
        "MessageAbortedError",
        "abort",
        "aborted",
        "cancelled",
        "canceled",
        "clear",
        "interrupted",
        "logout",
        "prompt_input_exit",
        "user",
        "user_close",
        "user_exit",
        "window_close",
    ];
    let names = ["TaskCancel", "Interrupt"];
    let says = |field| facts.text(field).is_some_and(|text| WORDS.contains(&&*text));
    facts.event.as_deref().is_some_and(|event| names.contains(&event))
        || says(Field::Reason)
        || says(Field::Status)
}
