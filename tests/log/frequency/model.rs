//! What counting must come to, said again and as plainly as possible.

use std::collections::HashMap;

use tributary::store::frequency::{RELEASES, REPEAT_WITHIN, Release};

use super::support::Ask;

/// Grant and items.
type Asked = (String, u8);

#[derive(Default)]
pub struct Model {
    uses: HashMap<(String, u64), u32>,
    /// What was asked, first release, releases so far.
    requests: HashMap<(&'static str, String), (Asked, i64, u32)>,
}

impl Model {
    pub fn release(&mut self, ask: &Ask) -> Release {
        let request = (ask.consumer, ask.request.clone());
        let asked = (ask.grant.clone(), ask.items);
        if let Some((known, first, times)) = self.requests.get_mut(&request) {
            if *known != asked || ask.at - *first > REPEAT_WITHIN || *times == RELEASES {
                return Release::Conflict;
            }
            *times += 1;
            return Release::Repeated { times: *times };
        }
        let used = self.uses.entry((ask.grant.clone(), ask.window)).or_default();
        if *used >= ask.limit {
            return Release::Exhausted;
        }
        *used += 1;
        self.requests.insert(request, (asked, ask.at, 1));
        Release::Counted { used: *used }
    }
}
