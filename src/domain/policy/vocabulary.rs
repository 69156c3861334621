//! The closed lists that rules and requests choose from, beside the catalogue:
//! purposes, legal bases, agencies, consumers.
//!
//! What stands in none of these lists is denied without asking any rule.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::catalogue::AgencyId;
use crate::domain::peer::SpiffeId;
use crate::domain::purpose::PurposeCode;

/// What an operator allows rules and requests to name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vocabulary {
    /// What profiles may be asked for.
    pub purposes: BTreeSet<PurposeCode>,
    /// Who may ask.
    pub consumers: BTreeSet<SpiffeId>,
    /// Who may be asked.
    #[serde(default)]
    pub agencies: BTreeSet<AgencyId>,
}
