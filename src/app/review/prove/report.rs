//! What was to be proven, and what came of it.

use super::side::Broken;
use super::solver::Fault;

/// What is to be proven about a house's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Statement {
    /// No request is permitted an item of the prohibited sensitivity.
    Prohibited,
    /// No request is permitted a conditional item without written consent.
    Conditional,
    /// Whatever the rules permit, the rules before permitted as well.
    OpensNothing,
}

impl Statement {
    /// The stable word for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prohibited => "prohibited",
            Self::Conditional => "conditional",
            Self::OpensNothing => "opens_nothing",
        }
    }

    /// As a sentence.
    pub const fn told(self) -> &'static str {
        match self {
            Self::Prohibited => "no request is permitted a prohibited item",
            Self::Conditional => "conditional items need written consent",
            Self::OpensNothing => "the change opens nothing",
        }
    }
}

/// What a statement is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Whatever items there are and whichever groups they are in.
    EveryCatalogue,
    /// The items of the new side's catalogue, in the groups that it records.
    ThisCatalogue,
}

impl Scope {
    /// The stable word for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EveryCatalogue => "every_catalogue",
            Self::ThisCatalogue => "this_catalogue",
        }
    }
}

/// A request that contradicts a statement. The authorizer was asked and agrees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counterexample {
    /// Who reads: a SPIFFE id.
    pub consumer: String,
    /// For what.
    pub purpose: String,
    /// On what ground.
    pub basis: String,
    /// From which agency.
    pub agency: String,
    /// The catalogue's item; `None` where the solver made one up.
    pub item: Option<String>,
    /// The groups that the item is in, as `Category::"lending.card"`.
    pub groups: Vec<String>,
    /// The rules that permit it.
    pub permitted_by: Vec<String>,
    /// The rules that forbade it before; none where no rule permitted it.
    pub forbidden_by: Vec<String>,
}

/// Why a statement is neither proven nor disproved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unchecked {
    /// The solver gave no answer.
    #[error(transparent)]
    Solver(#[from] Fault),
    /// The rules cannot be put to the solver.
    #[error("the rules cannot be put to the solver: {0}")]
    Unsupported(String),
    /// Nothing fulfils what the statement is about: it would hold for any rules.
    #[error(
        "nothing fulfils the condition of the statement: a proof of it would say nothing ({0})"
    )]
    Vacuous(String),
    /// The solver's counterexample is none for the authorizer.
    #[error("the solver's counterexample is none for the authorizer: {0}")]
    NotReplayed(String),
    /// A rule before can fail, which denies, and the solver does not know that.
    #[error(
        "rule `{0}` of the side before can fail to evaluate, which denies: what it opens is unknown"
    )]
    CanFail(String),
    /// The rules before are not there.
    #[error("the rules of the side before are not at hand")]
    NotAtHand,
    /// An error of ours.
    #[error(transparent)]
    Broken(#[from] Broken),
}

impl Unchecked {
    /// The stable word for programs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Solver(Fault::Missing(_)) => "solver_missing",
            Self::Solver(Fault::Timeout(_)) => "timeout",
            Self::Solver(Fault::Unknown) => "unknown",
            Self::Solver(Fault::Broken(_) | Fault::Refused(_) | Fault::Nonsense(_)) => {
                "solver_failed"
            }
            Self::Unsupported(_) => "unsupported",
            Self::Vacuous(_) => "vacuous",
            Self::NotReplayed(_) => "not_replayed",
            Self::CanFail(_) => "can_fail",
            Self::NotAtHand => "not_at_hand",
            Self::Broken(_) => "error",
        }
    }
}

/// What came of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// The solver found that nothing contradicts it.
    Proven,
    /// Something contradicts it.
    Disproved(Box<Counterexample>),
    /// Nobody knows.
    NotChecked(Unchecked),
}

impl Proof {
    /// The stable word for programs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Disproved(_) => "disproved",
            Self::NotChecked(_) => "not_checked",
        }
    }
}

/// A statement about a house, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofFinding {
    /// `gateway`, or an agency.
    pub house: String,
    /// What was to be proven.
    pub statement: Statement,
    /// About which catalogues.
    pub scope: Scope,
    /// What came of it.
    pub verdict: Proof,
}

impl ProofFinding {
    /// Whether the whole depends on it. That a change opens nothing is asked of the
    /// catalogue as it is; what another catalogue would open is told apart from it.
    pub fn counts(&self) -> bool {
        self.statement != Statement::OpensNothing || self.scope == Scope::ThisCatalogue
    }
}

/// Everything that was to be proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofReport {
    /// The solver's version, or why there is none.
    pub solver: Result<String, Fault>,
    /// Statement by statement.
    pub findings: Vec<ProofFinding>,
    /// Agencies whose rules are not at hand. What they release is limited by the
    /// gateway's rules all the same.
    pub left_out: Vec<String>,
}

impl ProofReport {
    /// How many statements that count were disproved.
    pub fn disproved(&self) -> usize {
        self.counting(|verdict| matches!(verdict, Proof::Disproved(_)))
    }

    /// How many statements that count nobody could check.
    pub fn not_checked(&self) -> usize {
        self.counting(|verdict| matches!(verdict, Proof::NotChecked(_)))
    }

    /// How many statements that count were proven.
    pub fn proven(&self) -> usize {
        self.counting(|verdict| *verdict == Proof::Proven)
    }

    fn counting(&self, is: impl Fn(&Proof) -> bool) -> usize {
        let counting = self.findings.iter().filter(|finding| finding.counts());
        counting.filter(|finding| is(&finding.verdict)).count()
    }
}
