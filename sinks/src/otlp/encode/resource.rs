//! The resource that spans and records come from.

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
        let mut to = Attributes::with_capacity(3 + self.attributes.len());
        for (name, value) in &self.attributes {
            to.text(name, value);
        }
        let service = self.service_name.as_deref().or(origin.agent.as_deref());
        add(&mut to, names::SERVICE_NAME, Some(service.unwrap_or("hookring")));
        add(&mut to, names::SERVICE_VERSION, origin.version.as_deref());
        add(&mut to, names::HOST_NAME, Some(&*origin.host).filter(|it| !it.is_empty()));
        let Attributes { list, dropped, .. } = to;
        Some(Resource {
            attributes: list,
            dropped_attributes_count: dropped,
            ..Resource::default()
        })
    }
}

/// Unless the settings say it.
fn add(to: &mut Attributes, name: &str, value: Option<&str>) {
    let is_name = |it: &KeyValue| it.key == name;
    if !to.list.iter().any(is_name) {
        to.some(name, value);
    }
}
