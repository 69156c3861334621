//! A collector of traces: OTLP over gRPC, which keeps what it is sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// What was sent; clones share it. The collector runs until the test's runtime ends.
#[derive(Clone, Default)]
pub struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

impl Collector {
    /// Serves one there.
    pub async fn at(address: SocketAddr) -> Self {
        let collector = Self::default();
        let listener = TcpListener::bind(address).await.unwrap();
        let service = TraceServiceServer::new(collector.clone());
        let serving = Server::builder().add_service(service);
        tokio::spawn(serving.serve_with_incoming(TcpIncoming::from(listener)));
        collector
    }

    /// Everything that was sent, as anybody could read it.
    pub fn text(&self) -> String {
        format!("{:?}", self.0.lock().unwrap())
    }

    /// The spans of a service.
    pub fn spans(&self, service: &str) -> Vec<Span> {
        let sent = self.0.lock().unwrap();
        let of_service = sent.iter().flat_map(|request| &request.resource_spans).filter(|all| {
            let resource = all.resource.as_ref().unwrap();
            told(&resource.attributes, "service.name") == service
        });
        of_service.flat_map(|all| &all.scope_spans).flat_map(|of| of.spans.clone()).collect()
    }
}

/// What an attribute says; nothing where there is none.
pub fn told(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|found| found.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => other.map(|value| format!("{value:?}")).unwrap_or_default(),
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
