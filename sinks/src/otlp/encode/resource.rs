//! The resource that spans, records and metrics come from.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::otlp::attributes::Attributes;
use crate::otlp::names;
use crate::otlp::origin::Origin;

/// What the settings say of all resources.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::otlp) struct Resources {
    /// `None`: the agent's name.
    pub(in crate::otlp) service_name: Option<String>,
    /// These go before what is found.
    pub(in crate::otlp) attributes: Vec<(String, String)>,
}

impl Resources {
    /// The resource of an agent on a machine.
    pub(super) fn of(&self, origin: &Origin) -> Option<Resource> {
        let (agent, version) = (origin.agent.as_deref(), origin.version.as_deref());
        Some(self.resource(agent, version, &origin.host, None))
    }

    /// The resource of the daemon on this machine, which began then.
    pub(in crate::otlp) fn of_daemon(&self, start_ns: u64) -> Resource {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        // Two daemons of a machine did not begin in the same nanosecond.
        let instance = format!("{host}-{start_ns}");
        self.resource(None, Some(env!("CARGO_PKG_VERSION")), &host, Some(&instance))
    }

    fn resource(
        &self,
        agent: Option<&str>,
        version: Option<&str>,
        host: &str,
        instance: Option<&str>,
    ) -> Resource {
        let mut to = Attributes::with_capacity(4 + self.attributes.len());
        for (name, value) in &self.attributes {
            to.text(name, value);
        }
        let service = self.service_name.as_deref().or(agent);
        add(&mut to, names::SERVICE_NAME, Some(service.unwrap_or("hookring")));
        add(&mut to, names::SERVICE_VERSION, version);
        add(&mut to, names::SERVICE_INSTANCE, instance);
        add(&mut to, names::HOST_NAME, Some(host).filter(|it| !it.is_empty()));
        let Attributes { list, dropped, .. } = to;
        Resource { attributes: list, dropped_attributes_count: dropped, ..Resource::default() }
    }
}

/// Unless the settings say it.
fn add(to: &mut Attributes, name: &str, value: Option<&str>) {
    let is_name = |it: &KeyValue| it.key == name;
    if !to.list.iter().any(is_name) {
        to.some(name, value);
    }
}
