//! Every service. Everything that lists services reads this array.

use platform_rest::client::BaseUrl;
use platform_service::{Env, Service};
use platform_telemetry::BoxError;

/// In the order in which they start: a service comes after those that it calls.
pub(crate) const SERVICES: &[&Service] = &[
    &vaccine::SERVICE,
    &campaign::SERVICE,
    &mypage::SERVICE,
    &injection::SERVICE,
    &booking::SERVICE,
    &gateway::SERVICE,
];

/// Their names and ports, for the drills.
pub(crate) const PORTS: &[(&str, u16)] = &{
    let mut ports = [("", 0); SERVICES.len()];
    let mut index = 0;
    while index < SERVICES.len() {
        ports[index] = (SERVICES[index].name, SERVICES[index].port);
        index += 1;
    }
    ports
};

/// The service of that name.
pub(crate) fn named(name: &str) -> Result<&'static Service, String> {
    let known = SERVICES.iter().find(|service| service.name == name);
    known.copied().ok_or_else(|| {
        let names: Vec<_> = SERVICES.iter().map(|service| service.name).collect();
        format!("there is no such service; there are {}", names.join(", "))
    })
}

/// The service of that name, which owns data.
pub(crate) fn owner_of_data(name: &str) -> Result<&'static Service, String> {
    let service = named(name)?;
    if service.owns_data() { Ok(service) } else { Err(format!("{name} owns no data")) }
}

/// The services that own data.
pub(crate) fn owning_data() -> impl Iterator<Item = &'static Service> {
    SERVICES.iter().copied().filter(|service| service.owns_data())
}

/// Where a running service listens: at its `NAME_URL`, else on this machine.
pub(crate) fn url(service: &Service, env: &Env, port_offset: u16) -> Result<BaseUrl, BoxError> {
    let port = service.port.saturating_add(port_offset);
    match env.first(&[&service.url_variable()])? {
        Some(url) => Ok(url),
        None => Ok(format!("http://127.0.0.1:{port}").parse()?),
    }
}
