//! The way of spans to a collector: OTLP over gRPC, in batches, by one task, each attempt
//! bounded in time. A batch that a collector does not take is dropped and counted, never
//! tried again, and the next waits a while: a collector that is dead, slow or full costs a
//! request nothing, and this process little.

use std::time::Duration;

use http::Uri;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1 as pb;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tonic::transport::{Channel, Endpoint};

use super::{Outcome, Span, Spans, Step};
use crate::domain::trace::Ratio;

/// Spans of one batch at most.
const BATCH: usize = 512;

/// How long a span waits for others to go with.
const GATHER: Duration = Duration::from_secs(1);

/// The time for a connection, and for a batch.
const CONNECT: Duration = Duration::from_secs(2);
const EXPORT: Duration = Duration::from_secs(5);

/// How long a collector is left that did not take a batch.
const AGAIN: Duration = Duration::from_secs(1);

/// The time for what waits when the process stops.
const LAST: Duration = Duration::from_secs(2);

/// Bytes of a collector's answer at most.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The task that exports. Dropped, it ends at once.
#[derive(Debug)]
pub struct Exporting {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Drop for Exporting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Exporting {
    /// Exports what waits, within bounds, and ends.
    pub async fn end(mut self) {
        self.stop.send_replace(true);
        let _ = timeout(LAST, &mut self.task).await;
    }
}

/// Starts exporting a share of traces to a collector, as this service.
pub fn start(collector: Uri, service: &'static str, ratio: Ratio) -> (Spans, Exporting) {
    let (spans, waiting) = Spans::queued(ratio);
    let channel = Endpoint::from(collector)
        .connect_timeout(CONNECT)
        .timeout(EXPORT)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5))
        .connect_lazy();
    let client = TraceServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
    let (stop, stopped) = watch::channel(false);
    let exporter = Exporter { client, service, spans: spans.clone(), takes: None };
    let task = tokio::spawn(exporter.run(waiting, stopped));
    (spans, Exporting { stop, task })
}

struct Exporter {
    client: TraceServiceClient<Channel>,
    service: &'static str,
    spans: Spans,
    /// Whether the collector took the last batch.
    takes: Option<bool>,
}

impl Exporter {
    async fn run(mut self, mut waiting: mpsc::Receiver<Span>, mut stop: watch::Receiver<bool>) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                found = waiting.recv_many(&mut batch, BATCH) => if found == 0 { return },
                _ = stop.wait_for(|stop| *stop) => break,
            }
            tokio::select! {
                _ = timeout(GATHER, fill(&mut waiting, &mut batch)) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
            if !self.export(std::mem::take(&mut batch)).await {
                tokio::select! {
                    () = sleep(AGAIN) => {}
                    _ = stop.wait_for(|stop| *stop) => {}
                }
            }
        }
        waiting.close();
        while waiting.recv_many(&mut batch, BATCH).await > 0 {
            self.export(std::mem::take(&mut batch)).await;
        }
    }

    /// Whether the collector took a batch.
    async fn export(&mut self, batch: Vec<Span>) -> bool {
        let all = batch.len() as u64;
        let request = request(self.service, &batch);
        let answer = timeout(EXPORT, self.client.export(request)).await;
        let (rejected, why) = match answer {
            Ok(Ok(answer)) => {
                let partial = answer.into_inner().partial_success.unwrap_or_default();
                (u64::try_from(partial.rejected_spans).unwrap_or(0).min(all), None)
            }
            Ok(Err(status)) => (all, Some(format!("{:?}", status.code()))),
            Err(_) => (all, Some(format!("no answer within {EXPORT:?}"))),
        };
        self.spans.told(all - rejected, rejected);
        let takes = why.is_none();
        match why {
            Some(why) if self.takes != Some(false) => {
                tracing::warn!(why, "the collector of traces takes no spans: they are dropped");
            }
            None if self.takes == Some(false) => {
                tracing::info!("the collector of traces takes spans again");
            }
            _ => {}
        }
        self.takes = Some(takes);
        takes
    }
}

/// Waits until a batch is full.
async fn fill(waiting: &mut mpsc::Receiver<Span>, batch: &mut Vec<Span>) {
    while batch.len() < BATCH {
        if waiting.recv_many(batch, BATCH - batch.len()).await == 0 {
            return;
        }
    }
}

fn request(service: &'static str, batch: &[Span]) -> ExportTraceServiceRequest {
    let resource = Resource {
        attributes: vec![
            text("service.name", service),
            text("service.version", env!("CARGO_PKG_VERSION")),
        ],
        ..Default::default()
    };
    let scope = InstrumentationScope { name: "tributary".to_owned(), ..Default::default() };
    let spans = batch.iter().map(span).collect();
    let scope_spans = vec![pb::ScopeSpans { scope: Some(scope), spans, ..Default::default() }];
    let all = pb::ResourceSpans { resource: Some(resource), scope_spans, ..Default::default() };
    ExportTraceServiceRequest { resource_spans: vec![all] }
}

fn span(span: &Span) -> pb::Span {
    let (method, kind) = match &span.step {
        Step::Profile { .. } => ("tributary.v1.ProfileService/GetProfile", SpanKind::Server),
        Step::Section(_) => ("tributary.v1.AgencyService/Exchange", SpanKind::Client),
        Step::Answer(_) => ("tributary.v1.AgencyService/Exchange", SpanKind::Server),
    };
    let Outcome { word, reason, failed } = span.outcome;
    let mut attributes = vec![text("rpc.system.name", "grpc"), text("rpc.method", method)];
    match &span.step {
        Step::Profile { asked } => {
            let asked = i64::try_from(*asked).unwrap_or(i64::MAX);
            attributes.push(text("rpc.response.status_code", word));
            attributes.push(attribute("tributary.agencies", Value::IntValue(asked)));
        }
        Step::Section(agency) => {
            attributes.push(text("tributary.section.status", word));
            attributes.push(text("tributary.agency", agency.as_str()));
        }
        Step::Answer(agency) => {
            attributes.push(text("rpc.response.status_code", word));
            attributes.push(text("tributary.agency", agency.as_str()));
        }
    }
    if let Some(reason) = reason {
        attributes.push(text("error.type", reason.as_str()));
    }
    let code = if failed { StatusCode::Error } else { StatusCode::Unset };
    let began = u64::try_from(span.began.unix_timestamp_nanos()).unwrap_or(0);
    let took = u64::try_from(span.took.as_nanos()).unwrap_or(u64::MAX);
    pb::Span {
        trace_id: span.trace.bytes().to_vec(),
        span_id: span.id.bytes().to_vec(),
        parent_span_id: span.parent.map(|parent| parent.bytes().to_vec()).unwrap_or_default(),
        // Sampled.
        flags: 1,
        name: method.to_owned(),
        kind: kind.into(),
        start_time_unix_nano: began,
        end_time_unix_nano: began.saturating_add(took),
        attributes,
        status: Some(pb::Status { code: code.into(), ..Default::default() }),
        ..Default::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..Default::default() }
}
