//! git's own hooks: arguments and lines of text, no JSON. Only `--agent git` tells them.

use hookring_journal::model::EventType as Type;

use super::Agent;

pub(super) const AGENT: Agent = Agent {
    name: "git",
    title: "git hooks",
    events: &[
        ("pre-commit", Type::GitCommitPre),
        ("pre-merge-commit", Type::GitMerge),
        ("prepare-commit-msg", Type::GitCommitMessage),
        ("commit-msg", Type::GitCommitMessage),
        ("post-commit", Type::GitCommitPost),
        ("pre-push", Type::GitPush),
        ("pre-receive", Type::GitPush),
        ("update", Type::GitPush),
        ("post-receive", Type::GitPush),
        ("post-update", Type::GitPush),
        ("post-checkout", Type::GitCheckout),
        ("post-merge", Type::GitMerge),
        ("pre-rebase", Type::GitRewrite),
        ("post-rewrite", Type::GitRewrite),
        ("applypatch-msg", Type::GitOther),
        ("pre-applypatch", Type::GitOther),
        ("post-applypatch", Type::GitOther),
        ("pre-auto-gc", Type::GitOther),
        ("push-to-checkout", Type::GitOther),
        ("reference-transaction", Type::GitOther),
        ("sendemail-validate", Type::GitOther),
        ("post-index-change", Type::GitOther),
        ("fsmonitor-watchman", Type::GitOther),
    ],
    fields: &[],
    recognises: |_| false,
    refine: |_, _| {},
};
