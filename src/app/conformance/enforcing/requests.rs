//! Checks with requests of another form, and that bad ones harm nobody else.

use std::time::Duration;

use bytes::Bytes;
use tonic::Code;

use super::{Bench, Said, bounded, refusal, word};
use crate::app::conformance::{Verdict, ensure, failed, raw, skipped};
use crate::domain::catalogue::ItemDigest;
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

/// The items of the plan by a catalogue that nobody has: one that both define alike is
/// answered, and one that is defined otherwise is not.
pub(super) async fn definitions(bench: &Bench) -> Verdict {
    let takes = |is| is == pb::ProtocolFeature::ItemDigests;
    if !bench.described().await?.features().any(takes) {
        return skipped("it takes no questions by another catalogue");
    }
    let (items, right) = (&bench.items, bench.catalogue.digests_of(&bench.items));
    let question = |digests: &[u8]| {
        let mut question = bench.question(&bench.grant()?, items);
        question.catalogue_digest = vec![9; ItemDigest::BYTES].into();
        question.item_digests = Bytes::copy_from_slice(digests);
        Ok(question)
    };
    bench.refuses(question(&vec![0; right.len()])?).await?;
    bench.refuses(question(right.get(1..).unwrap_or_default())?).await?;
    let Some(last) = items.iter().last().filter(|_| items.len() > 1) else {
        return bench.goes_on().await;
    };
    let mut one_other = right.clone();
    one_other.iter_mut().rev().take(ItemDigest::BYTES).for_each(|byte| *byte = !*byte);
    for (digests, all) in [(&right, true), (&one_other, false)] {
        let (response, hash) = match bench.ask(question(digests)?).await? {
            Said::Section(response, hash) => (*response, hash),
            Said::Refused(status) => {
                return failed(format!("a good question is refused: {}", word(&status)));
            }
        };
        let envelope = response.section.as_ref().and_then(|section| section.envelope.as_ref());
        let stated = envelope.map(|envelope| envelope.definitions_digest.clone());
        let section = bench.believe(response, hash, items)?;
        let spoken = section.spoken();
        ensure(spoken.contains(last) == all, "it speaks of an item that is defined otherwise")?;
        let held = section.items.iter().any(|held| !spoken.contains(held.number));
        ensure(!held, "it answers an item that is defined otherwise")?;
        let definitions = bench.catalogue.digest_of(&spoken);
        let same = stated.as_deref() == definitions.as_ref().map(|digest| &digest[..]);
        ensure(same, "`definitions_digest` is not over what it speaks of")?;
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
