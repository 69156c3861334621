//! Checks of Exchange: a stream carries no authority, mixes nothing up, and
//! closes when its rules are broken.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use tonic::Code;

use super::Bench;
use super::forgery::Forgery;
use super::stream::{Answered, Stream};
use crate::app::conformance::{Verdict, ensure, failed, skipped};
use crate::domain::section::Section;
use crate::wire::proto::pb;
use crate::wire::proto::pb::exchange_request::Message as Asked;
use crate::wire::section::RequestHash;

/// Questions at once.
const AT_ONCE: u64 = 32;

/// The widest window that is filled.
const MOST: u32 = 4096;

fn encoded(bench: &Bench, grant: &str) -> Bytes {
    bench.question(grant, &bench.items).encode_to_vec().into()
}

/// Holds an answer against its question: id, echo, and the section itself.
fn section(bench: &Bench, answered: &Answered, id: u64, request: &Bytes) -> Verdict<Section> {
    let hash = RequestHash::of(request);
    ensure(answered.id == id, "the answer has another question's id")?;
    ensure(hash.is(&answered.hash), "the answer echoes another hash")?;
    match &answered.outcome {
        Ok(response) => match pb::FetchSectionResponse::decode(response.clone()) {
            Ok(response) => bench.believe(response, hash, &bench.items),
            Err(_) => failed("the answer is no FetchSectionResponse"),
        },
        Err((code, _)) => failed(format!("a good question fails with {:?}", Code::from(*code))),
    }
}

/// A good question on this stream is answered.
async fn goes_on(bench: &Bench, stream: &mut Stream, id: u64) -> Verdict {
    let request = encoded(bench, &bench.grant()?);
    stream.ask(id, request.clone()).await;
    let answered = stream.answer().await?;
    let status = section(bench, &answered, id, &request)?.status;
    ensure(status.is_answered(), format!("a good question is {status:?}"))
}

/// The stream ends, and no answer comes before that.
async fn ends(stream: &mut Stream, why: &str) -> Verdict {
    ensure(stream.next().await?.is_none(), format!("{why} is answered"))
}

pub(super) async fn hello(bench: &Bench) -> Verdict {
    let stream = Stream::open(bench).await?;
    ensure(stream.hello == *bench.described().await?, "Hello differs from Describe")
}

pub(super) async fn echo(bench: &Bench) -> Verdict {
    let mut stream = Stream::open(bench).await?;
    // Ids may start anywhere and leave gaps.
    goes_on(bench, &mut stream, 7).await?;
    goes_on(bench, &mut stream, 1 << 40).await
}

pub(super) async fn many(bench: &Bench) -> Verdict {
    let mut stream = Stream::open(bench).await?;
    let grant = bench.grant()?;
    let window = stream.hello.limits.as_ref().map_or(1, |limits| limits.max_in_flight.max(1));
    let mut asked = BTreeMap::new();
    for id in 1..=AT_ONCE.min(u64::from(window)) {
        let request = encoded(bench, &grant);
        asked.insert(id, request.clone());
        stream.ask(id, request).await;
    }
    while !asked.is_empty() {
        let answered = stream.answer().await?;
        let Some(request) = asked.remove(&answered.id) else {
            return failed("an id is answered that was not asked, or twice");
        };
        section(bench, &answered, answered.id, &request)?;
    }
    Ok(())
}

/// This question fails, with its own echo, between two good ones.
async fn fails_alone(bench: &Bench, request: Bytes, what: &str) -> Verdict {
    let mut stream = Stream::open(bench).await?;
    goes_on(bench, &mut stream, 1).await?;
    let hash = RequestHash::of(&request);
    stream.ask(2, request).await;
    let answered = stream.answer().await?;
    ensure(answered.id == 2 && hash.is(&answered.hash), "the refusal has another echo")?;
    match &answered.outcome {
        Err(_) => {}
        Ok(response) => match pb::FetchSectionResponse::decode(response.clone()) {
            Ok(response) => super::denied(&response)?,
            Err(_) => return failed(format!("{what} is answered with no section")),
        },
    }
    goes_on(bench, &mut stream, 3).await
}

pub(super) async fn forged(bench: &Bench) -> Verdict {
    let mut forgery = Forgery::of(&bench.grant()?)?;
    if let Some(claims) = forgery.claims.as_object_mut() {
        claims.insert("data_life".to_owned(), 99.into());
    }
    fails_alone(bench, encoded(bench, &forgery.unsigned()), "a forged grant").await
}

pub(super) async fn inner(bench: &Bench) -> Verdict {
    fails_alone(bench, Bytes::from(vec![0xff; 64]), "garbage").await?;
    fails_alone(bench, Bytes::new(), "an empty request").await
}

pub(super) async fn no_time(bench: &Bench) -> Verdict {
    let mut stream = Stream::open(bench).await?;
    let request = encoded(bench, &bench.grant()?);
    stream.ask_within(1, request.clone(), 0).await;
    let answered = stream.answer().await?;
    if answered.outcome.is_ok() {
        let section = section(bench, &answered, 1, &request)?;
        ensure(section.items.is_empty(), "it is answered with values")?;
    }
    goes_on(bench, &mut stream, 2).await
}

pub(super) async fn cancel(bench: &Bench) -> Verdict {
    let mut stream = Stream::open(bench).await?;
    let grant = bench.grant()?;
    let requests = [1, 2, 3].map(|id| (id, encoded(bench, &grant)));
    for (id, request) in &requests {
        stream.ask(*id, request.clone()).await;
    }
    let cancel = |exchange_id| Some(Asked::Cancel(pb::ExchangeCancel { exchange_id }));
    stream.say(cancel(2)).await;
    // Of what is not under way: nothing.
    stream.say(cancel(77)).await;
    let mut wanted = vec![1, 3];
    while !wanted.is_empty() {
        let answered = stream.answer().await?;
        // The cancelled one may have been answered before.
        wanted.retain(|id| *id != answered.id);
        let asked = requests.iter().find(|(id, _)| *id == answered.id);
        let Some((id, request)) = asked else { return failed("an id came that was not asked") };
        if *id != 2 {
            section(bench, &answered, *id, request)?;
        }
    }
    Ok(())
}

pub(super) async fn repeated(bench: &Bench) -> Verdict {
    let mut stream = Stream::open(bench).await?;
    goes_on(bench, &mut stream, 5).await?;
    stream.ask(5, encoded(bench, &bench.grant()?)).await;
    ends(&mut stream, "a question under a used id").await
}

pub(super) async fn falling(bench: &Bench) -> Verdict {
    let mut stream = Stream::open(bench).await?;
    goes_on(bench, &mut stream, 5).await?;
    stream.ask(4, encoded(bench, &bench.grant()?)).await;
    ends(&mut stream, "a question under a lower id").await
}

pub(super) async fn empty(bench: &Bench) -> Verdict {
    let mut stream = Stream::open(bench).await?;
    stream.say(None).await;
    ends(&mut stream, "a message without content").await
}

pub(super) async fn garbage(bench: &Bench) -> Verdict {
    let mut stream = Stream::open(bench).await?;
    stream.raw(vec![0xff; 40]).await;
    stream.ask(1, encoded(bench, &bench.grant()?)).await;
    ends(&mut stream, "a question behind garbage").await?;
    goes_on(bench, &mut Stream::open(bench).await?, 1).await
}

pub(super) async fn oversize(bench: &Bench) -> Verdict {
    let limits = bench.described().await?.limits.as_ref();
    let most = limits.map_or(0, |limits| limits.max_request_bytes);
    let Ok(most @ 1..=8_000_000) = usize::try_from(most) else {
        return skipped("no limit of requests is announced that the kit could exceed");
    };
    let mut beside = Stream::open(bench).await?;
    let mut stream = Stream::open(bench).await?;
    stream.ask(1, vec![0; 2 * most].into()).await;
    match stream.next().await? {
        None => {}
        Some(Answered { outcome: Err(_), .. }) => {}
        Some(_) => return failed("it is answered"),
    }
    goes_on(bench, &mut beside, 1).await
}

pub(super) async fn finish(bench: &Bench) -> Verdict {
    let mut stream = Stream::open(bench).await?;
    let grant = bench.grant()?;
    let requests = [1, 2, 3].map(|id| (id, encoded(bench, &grant)));
    for (id, request) in &requests {
        stream.ask(*id, request.clone()).await;
    }
    stream.say(Some(Asked::Finish(pb::ExchangeFinish {}))).await;
    for _ in &requests {
        let answered = stream.answer().await?;
        let asked = requests.iter().find(|(id, _)| *id == answered.id);
        let Some((id, request)) = asked else { return failed("an id came that was not asked") };
        section(bench, &answered, *id, request)?;
    }
    ends(&mut stream, "nothing more").await
}

pub(super) async fn window(bench: &Bench) -> Verdict {
    let mut stream = Stream::open(bench).await?;
    let window = stream.hello.limits.as_ref().map_or(0, |limits| limits.max_in_flight);
    if window == 0 || window > MOST {
        return skipped("no window is announced that the kit could fill");
    }
    // No request at all, so that no use of a grant is spent on it.
    let request = Bytes::from(vec![0xff; 64]);
    let hash = RequestHash::of(&request);
    let wanted = |code| matches!(code, Code::InvalidArgument | Code::ResourceExhausted);
    let total = u64::from(window) * 2;
    let (mut sent, mut settled) = (0, 0);
    while settled < total {
        // Written and read in turn, since neither side may block the other.
        for _ in 0..32.min(total - sent) {
            sent += 1;
            stream.ask(sent, request.clone()).await;
        }
        for _ in 0..if sent == total { total - settled } else { 8 } {
            let answered = stream.answer().await?;
            settled += 1;
            ensure(hash.is(&answered.hash), "an answer echoes another hash")?;
            match answered.outcome {
                Err((code, _)) if wanted(Code::from(code)) => {}
                Err((code, _)) => {
                    return failed(format!("garbage fails with {:?}", Code::from(code)));
                }
                Ok(_) => return failed("garbage is answered"),
            }
        }
    }
    Ok(())
}
