//! A program that publishes one event through the library. It stops itself (SIGSTOP) before and after,
//! so that whoever traces it finds the publish.

use hookring_producer::{Event, Producer};
use rustix::process::{Signal, getpid, kill_process};

fn main() {
    let payload = std::env::args().nth(1).expect("the payload");
    let mut producer = Producer::open().expect("a producer");
    // What happens once per process is done: the next event is as any other.
    producer.publish(Event::from(&b"{\"warm\":true}"[..])).expect("published");
    kill_process(getpid(), Signal::STOP).expect("its own stop");
    producer.publish(Event::from(payload.as_bytes())).expect("published");
    kill_process(getpid(), Signal::STOP).expect("its own stop");
}
