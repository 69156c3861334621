//! What no item may hold, whatever a grant or a policy says.
//!
//! The list works on words in ids, titles, meanings and codes. It finds what is
//! named openly; it cannot find what somebody hides behind another word, which is
//! why a person reviews a new item as well.

/// A category of facts that no item may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prohibition {
    /// The category, for people.
    pub name: &'static str,
    /// English words. A final `*` matches any ending; otherwise the word must be
    /// whole, its plural included.
    english: &'static [&'static str],
    /// Chinese words, matched anywhere.
    chinese: &'static [&'static str],
}

/// Every prohibited category.
pub(super) const PROHIBITIONS: &[Prohibition] = &[
    Prohibition {
        name: "religion",
        english: &["religio*", "church", "mosque", "temple", "faith", "worship*", "baptis*"],
        chinese: &["宗教", "信仰", "教堂", "清真"],
    },
    Prohibition {
        name: "ethnicity",
        english: &["ethnic*", "race", "racial", "nationality", "tribe", "tribal"],
        chinese: &["民族", "种族", "族裔"],
    },
    Prohibition {
        name: "genes",
        english: &["gene", "genetic*", "genom*", "dna", "heredit*"],
        chinese: &["基因", "遗传"],
    },
    Prohibition {
        name: "biometrics",
        english: &["biometric*", "fingerprint", "iris", "facial", "voiceprint", "retina*"],
        chinese: &["指纹", "虹膜", "人脸", "声纹", "生物特征", "生物识别"],
    },
    Prohibition {
        name: "health or medical history",
        english: &[
            "health*",
            "medical*",
            "medicine",
            "disease",
            "illness",
            "diagnos*",
            "hospital*",
            "clinic*",
            "patient",
            "disab*",
            "pregnan*",
            "maternity",
            "surgery",
            "surgical",
            "vaccin*",
            "psychiatr*",
            "sick",
            "sickness",
            "injur*",
            "handicap*",
        ],
        chinese: &[
            "健康", "医疗", "疾病", "病史", "诊断", "住院", "残疾", "怀孕", "生育", "疫苗", "病假",
            "工伤",
        ],
    },
    Prohibition {
        name: "blood type", english: &["blood*"], chinese: &["血型", "献血", "血液"]
    },
    Prohibition {
        name: "politics",
        english: &["politic*", "party", "election*", "vote", "voter", "voting"],
        chinese: &["政治", "党员", "党派", "选举", "投票"],
    },
    Prohibition {
        name: "union membership",
        english: &["union", "unionis*", "unioniz*", "strike"],
        chinese: &["工会", "罢工"],
    },
    Prohibition {
        name: "sexuality",
        english: &["sexual*", "sex", "gender", "lgbt*", "transgender"],
        chinese: &["性取向", "性别", "性生活"],
    },
    Prohibition {
        name: "location traces",
        english: &[
            "location",
            "gps",
            "whereabouts",
            "geolocation",
            "itinerar*",
            "route",
            "trajectory",
            "latitude",
            "longitude",
        ],
        chinese: &["位置", "定位", "轨迹", "行踪", "路线", "经纬度"],
    },
    Prohibition {
        name: "contacts and social networks",
        english: &["contact", "friend", "follower", "acquaintance", "social_network", "wechat"],
        chinese: &["联系人", "通讯录", "好友", "社交", "人脉"],
    },
    Prohibition {
        name: "relatives' data",
        english: &[
            "relative",
            "spouse",
            "husband",
            "wife",
            "child",
            "children",
            "parent*",
            "mother",
            "father",
            "sibling",
            "family",
            "marriage",
            "marital",
            "divorc*",
            "dependant",
            "dependent",
            "kinship",
        ],
        chinese: &["亲属", "配偶", "子女", "父母", "家庭", "婚姻", "离婚", "赡养"],
    },
    Prohibition {
        name: "dismissal reasons",
        english: &["dismiss*", "firing", "sacked", "termination_reason", "reason_for_leaving"],
        chinese: &["辞退", "开除", "解雇", "离职原因"],
    },
    Prohibition {
        name: "school discipline or special-education records",
        english: &[
            "disciplin*",
            "suspension_from_school",
            "expel*",
            "special_education",
            "detention",
        ],
        chinese: &["处分", "退学", "特殊教育", "违纪"],
    },
    Prohibition {
        name: "raw transactions",
        english: &["transaction", "purchase_history", "statement_line", "payee"],
        chinese: &["交易明细", "交易记录", "流水", "消费记录"],
    },
];

/// The first prohibition that a text runs into, with the word that did it.
pub(super) fn find(text: &str) -> Option<(&'static Prohibition, &'static str)> {
    let folded = text.to_lowercase();
    let words = Words::of(&folded);
    PROHIBITIONS.iter().find_map(|prohibition| {
        let english = prohibition.english.iter().find(|pattern| words.matches(pattern));
        let chinese = || prohibition.chinese.iter().find(|word| folded.contains(**word));
        let found = english.or_else(|| if folded.is_ascii() { None } else { chinese() });
        found.map(|word| (prohibition, *word))
    })
}

/// A text as its words, each followed by one underscore, and where each begins: so a
/// pattern of one word or of several begins where a word does.
struct Words {
    joined: String,
    starts: Vec<usize>,
}

impl Words {
    fn of(folded: &str) -> Self {
        let (mut joined, mut starts) = (String::new(), Vec::new());
        for word in folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            starts.push(joined.len());
            joined.push_str(word);
            joined.push('_');
        }
        Self { joined, starts }
    }

    fn matches(&self, pattern: &str) -> bool {
        let stem = pattern.strip_suffix('*');
        let fits = |rest: &str| match stem {
            Some(stem) => rest.starts_with(stem),
            None => rest
                .strip_prefix(pattern)
                .is_some_and(|end| end.starts_with('_') || end.starts_with("s_")),
        };
        self.starts.iter().filter_map(|start| self.joined.get(*start..)).any(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_category_is_found_in_both_languages() {
        for prohibition in PROHIBITIONS {
            for word in prohibition.english {
                let id = format!("lending.card.{}", word.trim_end_matches('*'));
                assert_eq!(find(&id).map(|(found, _)| found.name), Some(prohibition.name), "{id}");
            }
            for word in prohibition.chinese {
                let title = format!("最近{word}次数");
                assert_eq!(find(&title).map(|(found, _)| found.name), Some(prohibition.name));
            }
        }
    }

    #[test]
    fn innocent_words_that_contain_a_prohibited_one_pass() {
        for text in [
            "general.terms.generation",
            "traffic.tracey.embrace",
            "Contribution partly paid",
            "credit reunion",
        ] {
            assert_eq!(find(text), None, "{text}");
        }
    }
}
