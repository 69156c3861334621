//! The page's words, in English and in Simplified Chinese.

/// A language of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Chinese,
}

impl Language {
    pub(super) const fn tag(self) -> &'static str {
        self.pick("en", "zh-Hans")
    }

    /// The text in this language.
    pub(super) const fn pick<'a>(self, english: &'a str, chinese: &'a str) -> &'a str {
        match self {
            Self::English => english,
            Self::Chinese => chinese,
        }
    }

    /// What an agency's answer means for the person.
    pub(super) fn decision(self, decision: &str) -> &'static str {
        match decision {
            "OK" => self.pick("gave these facts about you", "提供了您的以下信息"),
            "NO_RECORD" => self.pick(
                "was asked for these facts and has no record of you",
                "被询问以下信息，但没有您的记录",
            ),
            "DENIED" => self.pick(
                "refused these facts; nothing was given",
                "拒绝提供以下信息，没有给出任何内容",
            ),
            "TIMEOUT" | "UNAVAILABLE" => self.pick(
                "did not answer in time; nothing was passed on",
                "未能及时答复，没有转交任何内容",
            ),
            _ => self.pick(
                "gave an answer that was not accepted; nothing was passed on",
                "答复不符合要求，没有转交任何内容",
            ),
        }
    }

    pub(super) fn basis(self, basis: &str) -> String {
        match basis {
            "consent" => self.pick("you agreed", "您已同意").to_owned(),
            "written_consent" => self.pick("you agreed in writing", "您已书面同意").to_owned(),
            "statute" => self.pick("a law says so", "法律规定").to_owned(),
            other => other.to_owned(),
        }
    }

    /// What each code of a purpose says, as far as it can be read.
    pub(super) fn purpose(self, purpose: &str) -> String {
        match purpose {
            "credit_profile" => self.pick("a credit profile", "信用档案").to_owned(),
            "rental_deposit_waiver" => {
                self.pick("waiving a rental deposit", "免租房押金").to_owned()
            }
            "small_business_loan" => self.pick("a small business loan", "小微企业贷款").to_owned(),
            other => other.replace('_', " "),
        }
    }
}
