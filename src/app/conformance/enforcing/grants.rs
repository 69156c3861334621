//! Checks with grants that give no authority: each differs from a good one in
//! one thing.

use serde_json::json;
use time::Duration;

use super::forgery::Forgery;
use super::{Bench, Said, word};
use crate::app::conformance::{Verdict, ensure, failed, skipped};
use crate::clock;
use crate::domain::grant::{Algorithm, Frequency, MAX_BYTES, Per};
use crate::domain::item::ItemSet;
use crate::domain::reason::Reason;
use crate::issuer::{GrantRequest, SigningKey};
use crate::wire::refusal::reason_of;

/// A grant that is refused, and after it a good one that is not: otherwise an
/// agency that answers nobody would pass.
async fn refused(bench: &Bench, grant: &str) -> Verdict {
    bench.refuses(bench.question(grant, &bench.items)).await?;
    bench.goes_on().await
}

/// A good grant with its claims or header changed and signed again by the issuer.
async fn resigned(bench: &Bench, change: impl FnOnce(&mut Forgery)) -> Verdict {
    let mut forgery = Forgery::of(&bench.grant()?)?;
    change(&mut forgery);
    refused(bench, &forgery.signed(&bench.issuer.signing)?).await
}

fn set(forgery: &mut Forgery, claim: &str, value: impl Into<serde_json::Value>) {
    if let Some(claims) = forgery.claims.as_object_mut() {
        claims.insert(claim.to_owned(), value.into());
    }
}

pub(super) async fn control(bench: &Bench) -> Verdict {
    let anew = Forgery::of(&bench.grant()?)?.signed(&bench.issuer.signing)?;
    let section = bench.section(&anew, &bench.items).await?;
    ensure(section.status.is_answered(), format!("it is {:?}", section.status))
}

pub(super) async fn signature(bench: &Bench) -> Verdict {
    let grant = bench.grant()?;
    let Some((signed, rest)) = grant.split_once('~') else {
        return failed("the test issuer's grant has no disclosure");
    };
    let Some((signed, signature)) = signed.rsplit_once('.') else {
        return failed("the test issuer's grant has no signature");
    };
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let tail: String = signature.chars().skip(1).collect();
    refused(bench, &format!("{signed}.{first}{tail}~{rest}")).await
}

pub(super) async fn stranger(bench: &Bench) -> Verdict {
    let forgery = Forgery::of(&bench.grant()?)?;
    let key = SigningKey::generate(Algorithm::EdDsa, bench.issuer.signing.kid().clone());
    let Ok(key) = key else { return skipped("no key can be made") };
    refused(bench, &forgery.signed(&key)?).await
}

pub(super) async fn claims(bench: &Bench) -> Verdict {
    let mut forgery = Forgery::of(&bench.grant()?)?;
    set(&mut forgery, "data_life", 99);
    refused(bench, &forgery.unsigned()).await
}

pub(super) async fn algorithm(bench: &Bench) -> Verdict {
    let mut forgery = Forgery::of(&bench.grant()?)?;
    if let Some(header) = forgery.header.as_object_mut() {
        header.insert("alg".to_owned(), json!("none"));
    }
    refused(bench, &forgery.unsigned()).await
}

pub(super) async fn expired(bench: &Bench) -> Verdict {
    let then = clock::utc() - Duration::days(2);
    let mut wish = bench.wish(bench.person()?, &bench.items);
    (wish.not_before, wish.expires_at) = (then, then + Duration::days(1));
    refused(bench, &bench.issue(&wish, then)?).await
}

pub(super) async fn early(bench: &Bench) -> Verdict {
    let now = clock::utc();
    let mut wish = bench.wish(bench.person()?, &bench.items);
    (wish.not_before, wish.expires_at) = (now + Duration::hours(6), now + Duration::hours(12));
    refused(bench, &bench.issue(&wish, now)?).await
}

async fn wished(bench: &Bench, change: impl FnOnce(&mut GrantRequest)) -> Verdict {
    let mut wish = bench.wish(bench.person()?, &bench.items);
    change(&mut wish);
    let grant = bench.issue(&wish, wish.not_before)?;
    refused(bench, &grant).await
}

pub(super) async fn audience(bench: &Bench) -> Verdict {
    let other = format!("{}-other", bench.gateway);
    resigned(bench, |forgery| set(forgery, "aud", other)).await
}

pub(super) async fn consumer(bench: &Bench) -> Verdict {
    let other = format!("{}-other", bench.plan.consumer);
    resigned(bench, |forgery| set(forgery, "client_id", other.as_str())).await?;
    // And a good grant under another consumer's name.
    let mut question = bench.question(&bench.grant()?, &bench.items);
    question.consumer = format!("{}-other", bench.plan.consumer);
    bench.refuses(question).await
}

pub(super) async fn issuer(bench: &Bench) -> Verdict {
    let other = format!("{}-other", bench.issuer.id);
    resigned(bench, |forgery| set(forgery, "iss", other)).await
}

pub(super) async fn purpose(bench: &Bench) -> Verdict {
    resigned(bench, |forgery| {
        if let Some(purpose) = forgery.claims.get_mut("purpose") {
            *purpose = json!({"code": "conformance_unlisted", "text": "A purpose of nobody's."});
        }
    })
    .await
}

pub(super) async fn lifetime(bench: &Bench) -> Verdict {
    wished(bench, |wish| wish.expires_at = wish.not_before + Duration::days(3661)).await
}

pub(super) async fn undisclosed(bench: &Bench) -> Verdict {
    let grant = bench.grant()?;
    let signed = grant.split('~').next().unwrap_or_default();
    refused(bench, &format!("{signed}~")).await
}

pub(super) async fn swapped(bench: &Bench) -> Verdict {
    let (one, other) = (bench.grant()?, bench.grant()?);
    let signed = one.split('~').next().unwrap_or_default();
    let disclosure = other.split('~').nth(1).unwrap_or_default();
    refused(bench, &format!("{signed}~{disclosure}~")).await
}

pub(super) async fn resealed(bench: &Bench) -> Verdict {
    let stolen = Forgery::of(&bench.grant()?)?.disclosed();
    let mut forgery = Forgery::of(&bench.grant()?)?;
    let mut own = forgery.disclosed();
    let (into, from) = (own.pointer_mut("/2/subject"), stolen.pointer("/2/subject"));
    let (Some(into), Some(from)) = (into, from) else {
        return failed("the test issuer's disclosure has no sealed subject");
    };
    *into = from.clone();
    forgery.redisclose(&own);
    refused(bench, &forgery.signed(&bench.issuer.signing)?).await
}

pub(super) async fn garbage(bench: &Bench) -> Verdict {
    for grant in ["", "x", "~", "a.b.c~", "eyJ.eyJ.~", "\u{0}\u{1}\u{2}"] {
        bench.refuses(bench.question(grant, &bench.items)).await?;
    }
    bench.goes_on().await
}

pub(super) async fn oversize(bench: &Bench) -> Verdict {
    let grant = bench.grant()?;
    refused(bench, &format!("{grant}{}~", "A".repeat(MAX_BYTES))).await
}

/// A grant for so many uses a day.
fn for_uses(bench: &Bench, count: u32) -> Verdict<String> {
    let mut wish = bench.wish(bench.person()?, &bench.items);
    wish.frequency = Frequency { count, per: Per::Day };
    bench.issue(&wish, wish.not_before)
}

pub(super) async fn spent(bench: &Bench) -> Verdict {
    let grant = for_uses(bench, 1)?;
    let first = bench.section(&grant, &bench.items).await?;
    ensure(first.status.is_answered(), "its first use is not answered")?;
    refused(bench, &grant).await
}

pub(super) async fn retry(bench: &Bench) -> Verdict {
    let question = bench.question(&for_uses(bench, 1)?, &bench.items);
    for attempt in 1..=3 {
        if let Said::Refused(status) = bench.ask(question.clone()).await? {
            return failed(format!("attempt {attempt} is refused: {}", word(&status)));
        }
    }
    Ok(())
}

pub(super) async fn reused(bench: &Bench) -> Verdict {
    let grant = bench.grant()?;
    let question = bench.question(&grant, &bench.items);
    if let Said::Refused(status) = bench.ask(question.clone()).await? {
        return failed(format!("the first question is refused: {}", word(&status)));
    }
    let fewer: ItemSet = bench.items.iter().take(1).collect();
    let mut other = bench.question(&grant, &fewer);
    other.request_id = question.request_id;
    bench.refuses(other).await
}

pub(super) async fn revoked(bench: &Bench) -> Verdict {
    let Some(within) = bench.plan.revoked_within else {
        return skipped("the plan has no `revoked_within`");
    };
    let wish = bench.wish(bench.person()?, &bench.items);
    let Ok(issued) = bench.issuer.issue(&wish, wish.not_before) else {
        return skipped("the test issuer makes no grant");
    };
    let grant = super::forgery::part(&issued.presentation, bench.plan.agency.as_str());
    let before = bench.section(&grant, &bench.items).await?;
    ensure(before.status.is_answered(), "before, it is not answered")?;
    if let Err(error) = bench.issuer.records.revoke(&issued.jti) {
        return skipped(format!("the test issuer cannot revoke: {error}"));
    }
    let until = clock::now() + within;
    loop {
        let refused = bench.refuses(bench.question(&grant, &bench.items)).await;
        if refused.is_ok() {
            return bench.goes_on().await;
        }
        if clock::now() >= until {
            return failed(format!("{}s after it was revoked it is answered", within.as_secs()));
        }
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
}

pub(super) async fn reason(bench: &Bench) -> Verdict {
    let mut forgery = Forgery::of(&bench.grant()?)?;
    set(&mut forgery, "data_life", 99);
    let forged = forgery.unsigned();
    match bench.ask(bench.question(&forged, &bench.items)).await? {
        Said::Refused(status) => ensure(
            Reason::stated_by_agency(&reason_of(&status)).is_some(),
            "the refusal has no google.rpc.ErrorInfo with a reason of docs/errors",
        ),
        Said::Section(response, _) => {
            let envelope = response.section.and_then(|section| section.envelope);
            let stated = envelope.map(|envelope| envelope.reason).unwrap_or_default();
            ensure(
                Reason::stated_by_agency(&stated).is_some(),
                "the DENIED section states no known reason",
            )
        }
    }
}
