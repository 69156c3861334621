//! Checks with requests of another form, and that bad ones harm nobody else.

use std::time::Duration;

use bytes::Bytes;
use tonic::Code;

use super::{Bench, bounded, refusal};
use crate::app::conformance::{Verdict, failed, raw};
use crate::wire::proto::pb;

const FETCH: &str = "/tributary.v1.AgencyService/FetchSection";

/// Bytes of a request that nobody takes, where no limit is announced.
const HUGE: usize = 8 * 1024 * 1024;

pub(super) async fn catalogue(bench: &Bench) -> Verdict {
    for digest in [vec![0; 32], Vec::new(), vec![7; 31]] {
        let mut question = bench.question(&bench.grant()?, &bench.items);
        question.catalogue_digest = digest.into();
        bench.refuses(question).await?;
    }
    bench.goes_on().await
}

pub(super) async fn fields(bench: &Bench) -> Verdict {
    type Change = fn(&mut pb::FetchSectionRequest);
    let changes: [Change; 8] = [
        |question| question.items = Bytes::new(),
        |question| question.items = vec![0; 8].into(),
        |question| question.items = vec![0xff; 65].into(),
        |question| question.request_id.clear(),
        |question| question.request_id = "a b\u{0}".to_owned(),
        |question| question.consumer.clear(),
        |question| question.consumer = "scoring-service".to_owned(),
        |question| question.grant = None,
    ];
    for change in changes {
        let mut question = bench.question(&bench.grant()?, &bench.items);
        change(&mut question);
        bench.refuses(question).await?;
    }
    bench.goes_on().await
}

/// Sends bytes as a FetchSection; whatever is not an answer is well.
async fn not_answered(bench: &Bench, bytes: Bytes, what: &str) -> Verdict {
    let call = raw::unary(bench.channel().await?, FETCH, bytes);
    match bounded(bench, call).await {
        Ok(_) => failed(format!("{what} is answered")),
        Err(status) if status.code() == Code::DeadlineExceeded => {
            failed(format!("{what} is never answered"))
        }
        Err(_) => Ok(()),
    }
}

pub(super) async fn garbage(bench: &Bench) -> Verdict {
    for bytes in [vec![0xff; 64], vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]] {
        not_answered(bench, bytes.into(), "a message that is none").await?;
    }
    bench.goes_on().await
}

pub(super) async fn oversize(bench: &Bench) -> Verdict {
    let limits = bench.described().await?.limits.as_ref();
    let most = limits.map_or(0, |limits| limits.max_request_bytes);
    let size = match usize::try_from(most) {
        Ok(most) if most > 0 && most < HUGE => most + 1,
        _ => HUGE,
    };
    let mut question = bench.question(&bench.grant()?, &bench.items);
    question.seal_key = vec![0; size].into();
    let bytes = prost::Message::encode_to_vec(&question);
    not_answered(bench, bytes.into(), "a request beyond the limit").await?;
    bench.goes_on().await
}

/// Puts good questions and waits for none of them longer than this.
async fn impatient(bench: &Bench, patience: Duration, tell: bool) -> Verdict {
    let mut client = bench.client().await?;
    let grant = bench.grant()?;
    for _ in 0..16 {
        let mut request = tonic::Request::new(bench.question(&grant, &bench.items));
        if tell {
            request.set_timeout(patience);
        }
        let call = client.fetch_section(request);
        match tokio::time::timeout(bench.plan.deadline.min(patience), call).await {
            Ok(Err(status)) if refusal(&status).is_ok() => {
                return failed("a good question in a hurry is refused");
            }
            _ => {}
        }
    }
    bench.goes_on().await
}

pub(super) async fn deadline(bench: &Bench) -> Verdict {
    impatient(bench, Duration::from_micros(100), true).await
}

pub(super) async fn cancelled(bench: &Bench) -> Verdict {
    impatient(bench, Duration::from_millis(2), false).await
}
