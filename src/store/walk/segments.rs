//! The write-ahead segments of a log: those of its entries that are not in tiles
//! yet, and some that are.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::{FaultKind, Stop, TornTail, WalPlace, WalkError, Walker};
use crate::domain::audit::leaf_hash;
use crate::files;
use crate::store::wal;

impl Walker<'_> {
    pub(super) fn open_segments(
        &mut self,
        segments: &mut BTreeMap<PathBuf, File>,
    ) -> Result<Result<(), Stop>, WalkError> {
        let paths = match wal::list(self.log) {
            Ok(paths) => paths,
            Err(error) => return self.refused(wal::FOLDER, error).map(Err),
        };
        if paths.len() > wal::MAX_SEGMENTS {
            let what = format!("there are more than {} segments", wal::MAX_SEGMENTS);
            self.fault(FaultKind::Changed, wal::FOLDER, None, &what);
            return Ok(Err(Stop));
        }
        for path in paths {
            match files::open(&path, wal::MAX_SEGMENT) {
                Ok(file) => {
                    segments.entry(path).or_insert(file);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return self.refused(&self.relative(&path), error).map(Err),
            }
        }
        Ok(Ok(()))
    }

    pub(super) fn segment(
        &mut self,
        path: &Path,
        opened: File,
        is_last: bool,
    ) -> Result<Result<(), Stop>, WalkError> {
        let file = self.relative(path);
        let bytes = match files::read_opened(opened, wal::MAX_SEGMENT) {
            Ok(bytes) => bytes,
            Err(error) => return self.refused(&file, error).map(Err),
        };
        let origin = match (self.key, &self.walk.checkpoint) {
            (Some(key), _) => Some(key.origin().clone()),
            (None, Some(signed)) => Some(signed.checkpoint().origin.clone()),
            (None, None) => None,
        };
        if wal::read_header(&bytes, origin.as_ref()) != Some(self.walk.edge.size()) {
            let what = "the segment's header is damaged, of another log or out of order";
            self.fault(FaultKind::Changed, &file, Some(0), what);
            return Ok(Err(Stop));
        }
        let published = self.size();
        let mut at = wal::SEGMENT_HEADER;
        loop {
            if self.walk.edge.size() == published {
                let place = WalPlace { path: path.to_owned(), offset: at as u64 };
                self.walk.unpublished = Some(place);
            }
            self.walk.active = Some(WalPlace { path: path.to_owned(), offset: at as u64 });
            let rest = bytes.get(at..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(Ok(()));
            }
            let Some(frame) = wal::read_frame(rest) else {
                if is_last && wal::is_torn_tail(&bytes, at) {
                    let cut = (bytes.len() - at) as u64;
                    self.walk.torn = Some(TornTail { path: path.to_owned(), good: at as u64, cut });
                    return Ok(Ok(()));
                }
                let what = "the frame is damaged, and more was written after it";
                self.fault(FaultKind::Changed, &file, Some(at as u64), what);
                return Ok(Err(Stop));
            };
            if self.frame(&file, at, &frame)?.is_err() {
                return Ok(Err(Stop));
            }
            at += frame.length;
        }
    }

    fn frame(
        &mut self,
        file: &str,
        at: usize,
        frame: &wal::Frame<'_>,
    ) -> Result<Result<(), Stop>, WalkError> {
        if frame.first != self.walk.edge.size() {
            let what = format!(
                "the frame begins with entry {}, expected {}",
                frame.first,
                self.walk.edge.size()
            );
            self.fault(FaultKind::Changed, file, Some(at as u64), &what);
            return Ok(Err(Stop));
        }
        for (offset, entry) in &frame.entries {
            let (index, leaf) = (self.walk.edge.size(), leaf_hash(entry));
            let offset = (at + offset) as u64;
            let seen = index.checked_sub(self.from).and_then(|at| usize::try_from(at).ok());
            match seen.and_then(|at| self.seen.get(at)) {
                Some(published) if *published != leaf => {
                    let what = format!("entry {index} is not the one that was published");
                    self.fault(FaultKind::Changed, file, Some(offset), &what);
                }
                Some(_) => {}
                None => self.entry(file, offset, index, entry),
            }
            self.walk.edge.push(leaf)?;
        }
        if frame.root != self.walk.edge.root()? {
            let what = "the frame's root is not that of the entries";
            self.fault(FaultKind::Changed, file, Some(at as u64), what);
            return Ok(Err(Stop));
        }
        Ok(Ok(()))
    }

    /// A log that ends before its signed checkpoint was cut.
    pub(super) fn is_long_enough(&mut self, size: u64) {
        let have = self.walk.edge.size();
        if have >= size {
            return;
        }
        match self.walk.torn.take() {
            Some(torn) => {
                let file = self.relative(&torn.path);
                let what = "the frame is damaged, though the checkpoint covers it";
                self.fault(FaultKind::Changed, &file, Some(torn.good), what);
            }
            None => {
                let what = format!("the segments end at entry {have}, the checkpoint at {size}");
                self.fault(FaultKind::Missing, wal::FOLDER, None, &what);
            }
        }
    }
}
