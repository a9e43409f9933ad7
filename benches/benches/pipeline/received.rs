//! A record as the pipeline gets it from the bus.

use hookring_pipeline::Received;

/// The record of a payload, the `number`th.
pub(crate) fn received(payload: &[u8], number: u64) -> Received<'_> {
    Received {
        id: u128::from(number).to_be_bytes(),
        // Far enough apart that none is taken for another's duplicate.
        timestamp_ns: number as i64 * 10_000_000_000,
        monotonic_ns: Some(number),
        agent: None,
        event: None,
        directory: Some(b"/home/ada/app"),
        pid: 1,
        elapsed_us: 1,
        arguments: &[],
        truncated: false,
        payload,
    }
}
