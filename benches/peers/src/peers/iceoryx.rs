//! iceoryx2: publish-subscribe of slices between processes, and its events for a reader that sleeps.

use std::time::Duration;

use anyhow::{Context as _, Result};
use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use iceoryx2::service::port_factory::{event, publish_subscribe};

use super::{Mode, Pause, Place, Receiver, Sender};
use crate::payloads::Tally;

const SLEEP: Duration = Duration::from_millis(500);

type Samples = publish_subscribe::PortFactory<ipc::Service, [u8], ()>;
type Events = event::PortFactory<ipc::Service>;

/// What both ends open.
struct Service {
    _node: Node<ipc::Service>,
    samples: Samples,
    events: Option<Events>,
}

impl Service {
    fn open(place: &Place) -> Result<Service> {
        set_log_level(LogLevel::Error);
        let shape = &place.shape;
        let node = NodeBuilder::new()
            .signal_handling_mode(SignalHandlingMode::Disabled)
            .create::<ipc::Service>()?;
        let name = place.dir.to_str().context("the directory's name is not UTF-8")?;
        let name = ServiceName::new(name)?;
        let samples = node
            .service_builder(&name)
            .publish_subscribe::<[u8]>()
            .enable_safe_overflow(false)
            .history_size(0)
            .subscriber_max_buffer_size(shape.records)
            .max_publishers(shape.producers)
            .max_subscribers(1)
            .open_or_create()?;
        let sleeps = shape.mode == Mode::Sleeping;
        let events = sleeps.then(|| node.service_builder(&name).event().open_or_create());
        Ok(Service { events: events.transpose()?, _node: node, samples })
    }
}

pub(super) struct Reader {
    subscriber: Subscriber<ipc::Service, [u8], ()>,
    listener: Option<Listener<ipc::Service>>,
    _service: Service,
}

impl Reader {
    pub(super) fn new(place: &Place) -> Result<Reader> {
        let service = Service::open(place)?;
        let subscriber = service.samples.subscriber_builder().create()?;
        let listener = service.events.as_ref().map(|events| events.listener_builder().create());
        Ok(Reader { subscriber, listener: listener.transpose()?, _service: service })
    }
}

impl Receiver for Reader {
    fn receive(&mut self, tally: &mut Tally) -> Result<()> {
        if let Some(listener) = &self.listener {
            listener.timed_wait(|_| {}, SLEEP)?;
        }
        while let Some(sample) = self.subscriber.receive()? {
            tally.take(sample.payload());
        }
        Ok(())
    }
}

pub(super) struct Writer {
    publisher: Publisher<ipc::Service, [u8], ()>,
    notifier: Option<Notifier<ipc::Service>>,
    _service: Service,
}

impl Writer {
    pub(super) fn new(place: &Place) -> Result<Writer> {
        let service = Service::open(place)?;
        let publisher = service
            .samples
            .publisher_builder()
            .initial_max_slice_len(place.shape.max_bytes)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()?;
        let notifier = service.events.as_ref().map(|events| events.notifier_builder().create());
        Ok(Writer { publisher, notifier: notifier.transpose()?, _service: service })
    }
}

impl Sender for Writer {
    fn send(&mut self, payload: &[u8]) -> Result<()> {
        let mut pause = Pause::default();
        // It is to wait for room by itself, and mostly does; at times it returns at once and says that
        // nobody got the record. Then nobody did: the reader's account comes out right this way only.
        loop {
            let sample = self.publisher.loan_slice_uninit(payload.len())?;
            match sample.write_from_slice(payload).send()? {
                0 => pause.wait(),
                _ => break,
            }
        }
        if let Some(notifier) = &self.notifier {
            notifier.notify()?;
        }
        Ok(())
    }
}
