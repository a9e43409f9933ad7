//! A program that publishes one event through the library. It stops itself (SIGSTOP) before and after,
//! so that whoever traces it finds the publish: `publish_once PAYLOAD [first | full]`.

use hookring_producer::{Event, Producer, Published};
use rustix::process::{Signal, getpid, kill_process};

const WARM: &str = "{\"warm\":true}";
/// So long that a few of them fill a lane.
const LONG_BYTES: usize = 60_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let payload = arguments.next().expect("the payload");
    let how = arguments.next();
    let is_first = how.as_deref() == Some("first");
    if is_first {
        stop();
    }
    let mut producer = Producer::open().expect("a producer");
    if !is_first {
        warm(&mut producer, how.as_deref() == Some("full"));
        stop();
    }
    producer.publish(Event::from(payload.as_bytes())).expect("published");
    stop();
}

/// What happens once per process is done behind it: the next event is as any other. Or it finds the
/// lane full.
fn warm(producer: &mut Producer, fills: bool) {
    let mut publish =
        |text: &str| producer.publish(Event::from(text.as_bytes())).expect("published");
    publish(WARM);
    let long = format!("{WARM:LONG_BYTES$}");
    while fills && publish(&long) == Published::Ring {}
    // The rest of the lane.
    while fills && publish(WARM) == Published::Ring {}
}

fn stop() {
    kill_process(getpid(), Signal::STOP).expect("its own stop");
}
