//! A program that publishes its argument through the library.

use hookring_producer::{Event, Producer};

fn main() {
    let payload = std::env::args().nth(1).expect("the payload");
    let mut producer = Producer::open().expect("a producer");
    producer.publish(Event::from(payload.as_bytes())).expect("published");
}
