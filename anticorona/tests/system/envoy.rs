//! Envoy, the proxy of Istio's sidecars, between booking and vaccine: configured as Istio would configure it
//! from the overlay, so that what is deployed is tested.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use drill::{Request, Target};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    overlay::{object, objects},
    requests::send,
};

/// How long it may take to start on a busy machine.
const START_WITHIN: Duration = Duration::from_secs(20);

/// A running proxy. It is killed on drop.
pub(crate) struct Envoy {
    child: Child,
    admin: Target,
    /// Its address, which booking uses as that of vaccine.
    pub(crate) url: String,
    _folder: TempDir,
}

/// Requests that it has counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    /// Received from booking.
    pub(crate) from_booking: u64,
    /// Sent to vaccine.
    pub(crate) to_vaccine: u64,
    /// Sent again without a request of booking.
    pub(crate) retries: u64,
}

impl Envoy {
    pub(crate) async fn in_front_of(vaccine: &Target) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (config, log) = (folder.path().join("envoy.json"), folder.path().join("log"));
        let admin = folder.path().join("admin");
        fs::write(&config, config_of_istio(vaccine).to_string()).unwrap();
        let child = Command::new("envoy")
            .args(["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warn", "-c"])
            .arg(&config)
            .arg("--admin-address-path")
            .arg(&admin)
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .expect("Envoy is not installed: `cargo xtask test` installs it");
        let mut envoy = Self { child, admin: vaccine.clone(), url: String::new(), _folder: folder };
        envoy.wait_until_started(&admin, &log).await;
        envoy
    }

    /// It listens on free ports, which its admin interface returns; the address of that is in a file.
    async fn wait_until_started(&mut self, admin: &Path, log: &Path) {
        let start = Instant::now();
        loop {
            if let Ok(address) = fs::read_to_string(admin)
                && let Ok(admin) = Target::parse(&format!("http://{}", address.trim()))
                && let Ok(listeners) =
                    drill::send(&admin, &Request::get("/listeners?format=json")).await
                && let Some(port) = port(&listeners.json().unwrap())
            {
                (self.admin, self.url) = (admin, format!("http://127.0.0.1:{port}"));
                return;
            }
            let text = || fs::read_to_string(log).unwrap_or_default();
            assert_eq!(self.child.try_wait().unwrap(), None, "Envoy exited:\n{}", text());
            assert!(start.elapsed() < START_WITHIN, "Envoy does not start:\n{}", text());
            tokio::time::sleep(Duration::from_millis(20)).await; // tidy: paced, polls until it has started
        }
    }

    pub(crate) async fn counts(&self) -> Counts {
        let stats = send(&self.admin, Request::get("/stats?filter=vaccine")).await;
        let stats = stats.text().into_owned();
        let count = |name: &str| {
            let line = stats.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
            line.unwrap_or_else(|| panic!("no {name} in\n{stats}")).parse().unwrap()
        };
        Counts {
            from_booking: count("http.vaccine.downstream_rq_total"),
            to_vaccine: count("cluster.vaccine.upstream_rq_total"),
            retries: count("cluster.vaccine.upstream_rq_retry"),
        }
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn port(listeners: &Value) -> Option<u64> {
    listeners["listener_statuses"][0]["local_address"]["socket_address"]["port_value"].as_u64()
}

/// The configuration that Istio derives from the overlay's rules for vaccine.
fn config_of_istio(vaccine: &Target) -> Value {
    let objects = objects("istio");
    let [http] =
        &object(&objects, "VirtualService", "vaccine")["spec"]["http"].as_array().unwrap()[..]
    else {
        panic!("vaccine has several routes");
    };
    let mut route = json!({"cluster": "vaccine", "timeout": http["timeout"]});
    if http["retries"]["attempts"] != 0 {
        let attempts = &http["retries"]["attempts"];
        route["retry_policy"] = json!({"retry_on": "5xx", "num_retries": attempts});
    }
    let policy = &object(&objects, "DestinationRule", "vaccine")["spec"]["trafficPolicy"];
    let address =
        |port: u16| json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
    let (_, vaccine_port) = vaccine.authority().rsplit_once(':').unwrap();
    let manager = json!({
        "@type": extension("filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "vaccine",
        "route_config": {"virtual_hosts": [{
            "name": "vaccine",
            "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": route}],
        }]},
        "http_filters": [{
            "name": "router",
            "typed_config": {"@type": extension("filters.http.router.v3.Router")},
        }],
    });
    json!({
        "admin": {"address": address(0)},
        "static_resources": {
            "listeners": [{
                "name": "vaccine",
                "address": address(0),
                "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
            }],
            "clusters": [cluster(policy, &address(vaccine_port.parse().unwrap()))],
        },
    })
}

fn cluster(policy: &Value, vaccine: &Value) -> Value {
    let (tcp, http) = (&policy["connectionPool"]["tcp"], &policy["connectionPool"]["http"]);
    let ejected = &policy["outlierDetection"];
    // The overlay may contain nothing that is omitted here.
    expect_only(policy, &["loadBalancer", "connectionPool", "outlierDetection"]);
    expect_only(tcp, &["maxConnections", "connectTimeout"]);
    expect_only(
        http,
        &["http1MaxPendingRequests", "http2MaxRequests", "maxRetries", "idleTimeout"],
    );
    json!({
        "name": "vaccine",
        "lb_policy": policy["loadBalancer"]["simple"],
        "connect_timeout": tcp["connectTimeout"],
        "circuit_breakers": {"thresholds": [{
            "max_connections": tcp["maxConnections"],
            "max_pending_requests": http["http1MaxPendingRequests"],
            "max_requests": http["http2MaxRequests"],
            "max_retries": http["maxRetries"],
        }]},
        "outlier_detection": outlier_detection(ejected),
        // Istio sends no requests to ejected endpoints, even if all are ejected.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": extension("upstreams.http.v3.HttpProtocolOptions"),
                "common_http_protocol_options": {"idle_timeout": http["idleTimeout"]},
                "explicit_http_config": {"http_protocol_options": {}},
            },
        },
        "load_assignment": {
            "cluster_name": "vaccine",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": vaccine}}]}],
        },
    })
}

fn outlier_detection(rule: &Value) -> Value {
    expect_only(
        rule,
        &[
            "splitExternalLocalOriginErrors",
            "consecutiveLocalOriginFailures",
            "consecutive5xxErrors",
            "consecutiveGatewayErrors",
            "interval",
            "baseEjectionTime",
            "maxEjectionPercent",
        ],
    );
    // Istio disables a detector by a count of 0, Envoy by an enforced share of 0 %.
    let share = |count: &Value| if *count == 0 { 0 } else { 100 };
    let at_least_one = |count: &Value| count.as_u64().unwrap().max(1);
    json!({
        "split_external_local_origin_errors": rule["splitExternalLocalOriginErrors"],
        "consecutive_local_origin_failure": rule["consecutiveLocalOriginFailures"],
        "enforcing_consecutive_local_origin_failure": 100,
        "consecutive_5xx": at_least_one(&rule["consecutive5xxErrors"]),
        "enforcing_consecutive_5xx": share(&rule["consecutive5xxErrors"]),
        "consecutive_gateway_failure": at_least_one(&rule["consecutiveGatewayErrors"]),
        "enforcing_consecutive_gateway_failure": share(&rule["consecutiveGatewayErrors"]),
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
        "interval": rule["interval"],
        "base_ejection_time": rule["baseEjectionTime"],
        "max_ejection_percent": rule["maxEjectionPercent"],
    })
}

/// A rule has no other fields.
fn expect_only(rule: &Value, fields: &[&str]) {
    for field in rule.as_object().unwrap().keys() {
        assert!(fields.contains(&field.as_str()), "this test does not translate {field}");
    }
}

fn extension(kind: &str) -> String {
    format!("type.googleapis.com/envoy.extensions.{kind}")
}
