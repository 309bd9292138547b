//! What is answered to which request.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};

use super::health::{Health, Verdict};
use crate::telemetry::Exposition;

const PLAIN: &str = "text/plain; charset=utf-8";

const INDEX: &str = "\
Weir
/metrics  metrics, Prometheus text format
/healthz  whether this process should be left running
/readyz   whether it does its work, and what is missing
";

/// What there is to answer with.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    /// Behind `/healthz` and `/readyz`.
    pub health: Health,
    /// Behind `/metrics`.
    pub metrics: Exposition,
}

impl Pages {
    /// The answer to a request. hyper leaves out the body of an answer to HEAD.
    pub(super) fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut refusal = page(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only GET and HEAD\n".to_owned());
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        match path {
            "/" => page(StatusCode::OK, PLAIN, INDEX.to_owned()),
            "/metrics" => match self.metrics.text() {
                Ok(text) => page(StatusCode::OK, Exposition::CONTENT_TYPE, text),
                Err(error) => page(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, format!("{error}\n")),
            },
            "/healthz" => verdict(self.health.alive()),
            "/readyz" => verdict(self.health.ready()),
            _ => page(StatusCode::NOT_FOUND, PLAIN, format!("there is no such page\n\n{INDEX}")),
        }
    }
}

fn verdict(verdict: Verdict) -> Response<Full<Bytes>> {
    let status = if verdict.is_good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    page(status, PLAIN, verdict.lines)
}

fn page(status: StatusCode, content_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
