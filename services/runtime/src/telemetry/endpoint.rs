//! Where to export to. Source: OpenTelemetry specification, "OpenTelemetry Protocol Exporter" and "Environment Variable
//! Specification".

use super::TelemetryError;

const PROTOCOL: &str = "http/protobuf";

/// Full URLs by signal; none where it is not exported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Of metrics.
    pub metrics: Option<String>,
    /// Of spans.
    pub traces: Option<String>,
}

impl Endpoints {
    /// The endpoints under `configured` (`telemetry.otlp_endpoint`) and the environment, which wins.
    pub fn resolve(
        configured: Option<&str>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, TelemetryError> {
        // The specification: an empty variable is one that is not set.
        let variable = |name: &str| environment(name).map(|value| value.trim().to_owned()).filter(|it| !it.is_empty());
        if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(Self::default());
        }
        let signal = |name: &str, path: &str| {
            let exporter = variable(&format!("OTEL_{name}_EXPORTER"));
            if exporter.is_some_and(|exporter| exporter != "otlp") {
                return Ok(None);
            }
            let own = format!("OTEL_EXPORTER_OTLP_{name}_ENDPOINT");
            let general = "OTEL_EXPORTER_OTLP_ENDPOINT";
            let (place, url) = if let Some(url) = variable(&own) {
                (own.as_str(), url)
            } else if let Some(base) = variable(general) {
                (general, format!("{}/{path}", base.trim_end_matches('/')))
            } else if let Some(base) = configured {
                ("telemetry.otlp_endpoint", format!("{}/{path}", base.trim_end_matches('/')))
            } else {
                return Ok(None);
            };
            check(&url).map_err(|reason| setting(place, reason))?;
            for place in [format!("OTEL_EXPORTER_OTLP_{name}_PROTOCOL"), "OTEL_EXPORTER_OTLP_PROTOCOL".to_owned()] {
                match variable(&place) {
                    Some(protocol) if protocol != PROTOCOL => {
                        return Err(setting(&place, format!("is {protocol}; only {PROTOCOL} is spoken")));
                    }
                    Some(_) => break,
                    None => {}
                }
            }
            Ok(Some(url))
        };
        Ok(Self { metrics: signal("METRICS", "v1/metrics")?, traces: signal("TRACES", "v1/traces")? })
    }
}

fn setting(place: &str, reason: String) -> TelemetryError {
    TelemetryError::Setting { place: place.to_owned(), reason }
}

/// What is wrong with an endpoint, and what would be right.
pub(crate) fn check(url: &str) -> Result<(), String> {
    if url.starts_with("https://") {
        return Err(
            "export over TLS is not built in; name a collector of this host or pod, as http://localhost:4318, \
                    and let that one go on over TLS"
                .to_owned(),
        );
    }
    let authority = url.strip_prefix("http://").map(|rest| rest.split('/').next().unwrap_or(rest));
    let is_whole = authority.is_some_and(|authority| !authority.is_empty() && !authority.starts_with(':'));
    if authority.is_some_and(|authority| authority.contains('@')) {
        return Err(
            "holds credentials; give them in OTEL_EXPORTER_OTLP_HEADERS instead, since endpoints are logged".to_owned()
        );
    }
    let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic());
    if is_whole && is_plain { Ok(()) } else { Err("is no endpoint; write it as http://collector:4318".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(configured: Option<&str>, variables: &[(&str, &str)]) -> Result<Endpoints, String> {
        let lookup = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Endpoints::resolve(configured, lookup).map_err(|error| error.to_string())
    }

    fn both(metrics: &str, traces: &str) -> Endpoints {
        let some = |url: &str| (!url.is_empty()).then(|| url.to_owned());
        Endpoints { metrics: some(metrics), traces: some(traces) }
    }

    #[test]
    fn the_environment_wins_signal_by_signal() {
        assert_eq!(resolve(None, &[]), Ok(both("", "")));
        let configured = Some("http://here:4318/");
        assert_eq!(resolve(configured, &[]), Ok(both("http://here:4318/v1/metrics", "http://here:4318/v1/traces")));
        let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://there:4318/base");
        let there = Ok(both("http://there:4318/base/v1/metrics", "http://there:4318/base/v1/traces"));
        assert_eq!(resolve(configured, &[general]), there);
        assert_eq!(resolve(None, &[general, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]), there);
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://spans/");
        assert_eq!(resolve(None, &[traces]), Ok(both("", "http://spans/")));
        assert_eq!(resolve(configured, &[traces]), Ok(both("http://here:4318/v1/metrics", "http://spans/")));
        assert_eq!(resolve(configured, &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), resolve(configured, &[]));
    }

    #[test]
    fn what_is_switched_off_is_not_exported() {
        let configured = Some("http://here:4318");
        assert_eq!(resolve(configured, &[("OTEL_SDK_DISABLED", "TRUE")]), Ok(both("", "")));
        assert_eq!(
            resolve(configured, &[("OTEL_TRACES_EXPORTER", "none")]),
            Ok(both("http://here:4318/v1/metrics", ""))
        );
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let error = resolve(Some("https://here"), &[]).unwrap_err();
        assert!(error.starts_with("telemetry.otlp_endpoint: export over TLS is not built in"), "{error}");
        let error = resolve(Some("http://user:hunter2@here:4318"), &[]).unwrap_err();
        assert!(
            error.starts_with("telemetry.otlp_endpoint: holds credentials") && !error.contains("hunter2"),
            "{error}"
        );
        for url in ["here:4318", "http://", "http://:4318", "http:///v1", "http://a b"] {
            let error = resolve(None, &[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", url)]).unwrap_err();
            let expected =
                "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: is no endpoint; write it as http://collector:4318".to_owned();
            assert_eq!(error, expected, "{url}");
        }
        let grpc = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
        let error = resolve(Some("http://here:4317"), &grpc).unwrap_err();
        assert_eq!(error, "OTEL_EXPORTER_OTLP_PROTOCOL: is grpc; only http/protobuf is spoken");
    }
}
