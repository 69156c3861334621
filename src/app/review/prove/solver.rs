//! cvc5 as a program of its own: one process a question, in SMT-LIB 2 over its
//! standard input, with a time and a size that it may not exceed. It is ended when
//! its time is over and when nobody waits for it any longer.
//!
//! What it says is believed (it is named in the report with its version); what it
//! does not say is never taken for an answer.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use cedar_policy_symcc::SmtLibScript as _;
use cedar_policy_symcc::solver::{Decision, DecisionWithModel, Solver, SolverError};
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::process::Command;

/// Most bytes of one answer: a model of a thousand names takes less than one MiB.
const MAX_ANSWER: u64 = 16 << 20;

/// Most characters of what a solver said that are repeated.
const SHOWN: usize = 160;

/// How long it may take to say its version.
const VERSION_WITHIN: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is no such program.
    #[error(
        "there is no `{0}`: install cvc5 (on Debian: apt-get install cvc5), or name it with \
         --solver"
    )]
    Missing(String),
    /// It does not run.
    #[error("cannot run the solver: {0}")]
    Broken(String),
    /// It took too long and was ended.
    #[error("no answer within {}; allow more with --timeout", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// It says that it does not know.
    #[error("the solver does not know")]
    Unknown,
    /// It refused the question.
    #[error("the solver refused the question: {0}")]
    Refused(String),
    /// It said something that is no answer.
    #[error("the solver gave no answer: {0}")]
    Nonsense(String),
}

/// The program, and what it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its path, or its name on the search path.
    pub path: PathBuf,
    /// The time for one question.
    pub limit: Duration,
}

impl Program {
    /// Its version, such as `1.0.3`.
    ///
    /// # Errors
    /// It does not run, or does not say that it is cvc5.
    pub async fn version(&self) -> Result<String, Fault> {
        let limit = self.limit.min(VERSION_WITHIN);
        let said = run(&self.path, &["--version"], &[], limit).await?;
        let line = said.lines().next().unwrap_or_default();
        let version = line.strip_prefix("This is cvc5 version ");
        let version = version.and_then(|rest| rest.split_whitespace().next());
        version.map(shown).ok_or_else(|| {
            Fault::Nonsense(format!("asked for its version it said `{}`, not cvc5's", shown(line)))
        })
    }
}

/// A question in the making, for the symbolic compiler.
#[derive(Debug)]
pub struct Cvc5 {
    program: Program,
    script: Vec<u8>,
    fault: Option<Fault>,
}

impl Cvc5 {
    /// For one question.
    pub const fn new(program: Program) -> Self {
        Self { program, script: Vec::new(), fault: None }
    }

    /// Why the last question has no answer.
    pub const fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    async fn ask(&mut self) -> Result<String, SolverError> {
        let script = std::mem::take(&mut self.script);
        let limit = self.program.limit;
        // A solver that nobody could end, since we were killed, ends by itself.
        let own_limit = format!("--tlimit={}", (limit + Duration::from_secs(1)).as_millis());
        let arguments = ["--lang", "smt2.6", own_limit.as_str()];
        let said = run(&self.program.path, &arguments, &script, limit).await;
        said.map_err(|fault| self.fail(fault))
    }

    fn fail(&mut self, fault: Fault) -> SolverError {
        let error = SolverError::Solver(fault.to_string());
        self.fault = Some(fault);
        error
    }

    fn decision(&mut self, said: &str) -> Result<Decision, SolverError> {
        let line = said.lines().next().unwrap_or_default().trim();
        Err(self.fail(match line {
            "sat" => return Ok(Decision::Sat),
            "unsat" => return Ok(Decision::Unsat),
            "unknown" => Fault::Unknown,
            "" => Fault::Nonsense("it ended without a word".to_owned()),
            line if line.starts_with("(error") => Fault::Refused(shown(line)),
            line => Fault::Nonsense(format!("`{}`", shown(line))),
        }))
    }
}

impl Solver for Cvc5 {
    fn smtlib_input(&mut self) -> &mut (dyn AsyncWrite + Unpin + Send) {
        &mut self.script
    }

    async fn enable_models(&mut self) -> Result<(), SolverError> {
        Ok(self.smtlib_input().set_option("produce-models", "true").await?)
    }

    async fn check_sat(&mut self) -> Result<Decision, SolverError> {
        self.smtlib_input().check_sat().await?;
        let said = self.ask().await?;
        self.decision(&said)
    }

    async fn check_sat_with_model(&mut self) -> Result<DecisionWithModel, SolverError> {
        self.smtlib_input().check_sat().await?;
        // Where there is no model the solver says so after its answer.
        self.smtlib_input().get_model().await?;
        let said = self.ask().await?;
        match self.decision(&said)? {
            Decision::Unsat => Ok(DecisionWithModel::Unsat),
            Decision::Unknown => Ok(DecisionWithModel::Unknown),
            Decision::Sat => {
                let model = said.split_once('\n').map_or("", |(_, model)| model);
                Ok(DecisionWithModel::Sat { model: model.to_owned() })
            }
        }
    }
}

/// Runs the program to its end and gives all that it says.
async fn run(
    path: &Path,
    arguments: &[&str],
    input: &[u8],
    limit: Duration,
) -> Result<String, Fault> {
    let mut command = Command::new(path);
    command.args(arguments).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Fault::Missing(shown(&path.to_string_lossy())),
        _ => Fault::Broken(format!("{}: {error}", shown(&path.to_string_lossy()))),
    })?;
    let broken = |error: std::io::Error| Fault::Broken(error.to_string());
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Fault::Broken("it has no input or output".to_owned()));
    };
    let ask = async {
        // Who ends before it has read everything has answered, or is reported below.
        let _ = stdin.write_all(input).await;
        drop(stdin);
    };
    let answer = async {
        let mut said = Vec::new();
        stdout.take(MAX_ANSWER + 1).read_to_end(&mut said).await.map(|_| said)
    };
    let asked = tokio::time::timeout(limit, async {
        let ((), said) = tokio::join!(ask, answer);
        let said = said.map_err(broken)?;
        if said.len() as u64 > MAX_ANSWER {
            return Err(Fault::Nonsense(format!("more than {MAX_ANSWER} bytes")));
        }
        let status = child.wait().await.map_err(broken)?;
        match status.code() {
            Some(_) => Ok(String::from_utf8_lossy(&said).into_owned()),
            None => Err(Fault::Broken(format!("it was ended: {status}"))),
        }
    })
    .await;
    // Waits for the end as well, so that none is left behind.
    let _ = child.kill().await;
    asked.unwrap_or(Err(Fault::Timeout(limit)))
}

/// What is repeated of what a program says: one short line without control characters.
fn shown(text: &str) -> String {
    let escaped = text.chars().flat_map(char::escape_default);
    escaped.take(SHOWN).collect()
}
