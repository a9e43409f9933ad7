//! `type = "stdout"`: the daemon's standard output. It has no settings of its own.

use super::{Kind, SinkKind, SinkStart};

/// A terminal is to have what happens from now on.
pub(super) const KIND: Kind =
    Kind { name: "stdout", start: SinkStart::Now, keys: &[], read: |_, _| SinkKind::Stdout };
