//! Texts by their beginnings: a tree whose edges carry as many bytes as they share.

use crate::postings::Postings;

#[derive(Default)]
struct Node {
    label: Box<[u8]>,
    /// First bytes of the children's labels with the children, ascending.
    children: Vec<(u8, u32)>,
    postings: Postings,
}

/// A set of texts with postings. Nodes that lost everything are used again.
#[derive(Default)]
pub struct Radix {
    nodes: Vec<Node>,
    free: Vec<u32>,
    pub texts: usize,
}

const ROOT: u32 = 0;

/// The nodes whose postings were given since the last `begin`.
#[derive(Default)]
pub struct Given {
    epoch: u32,
    nodes: Vec<u32>,
}

impl Given {
    pub fn begin(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            self.nodes.fill(0);
            self.epoch = 1;
        }
    }

    pub fn bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<u32>()
    }

    /// Whether a node comes for the first time.
    #[inline]
    fn first(&mut self, node: u32) -> bool {
        let node = node as usize;
        if self.nodes.len() <= node {
            self.nodes.resize(node + 1, 0);
        }
        std::mem::replace(&mut self.nodes[node], self.epoch) != self.epoch
    }
}

impl Radix {
    fn make(&mut self, node: Node) -> u32 {
        if let Some(at) = self.free.pop() {
            self.nodes[at as usize] = node;
            return at;
        }
        self.nodes.push(node);
        self.nodes.len() as u32 - 1
    }

    fn child(&self, node: u32, byte: u8) -> Result<usize, usize> {
        self.nodes[node as usize].children.binary_search_by_key(&byte, |&(first, _)| first)
    }

    pub fn add(&mut self, text: &[u8], posting: u32) {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        self.texts += 1;
        let (mut node, mut rest) = (ROOT, text);
        while let Some(&byte) = rest.first() {
            match self.child(node, byte) {
                Err(place) => {
                    let leaf = self.make(Node { label: rest.into(), ..Node::default() });
                    self.nodes[node as usize].children.insert(place, (byte, leaf));
                    (node, rest) = (leaf, &[]);
                }
                Ok(place) => {
                    let child = self.nodes[node as usize].children[place].1;
                    let label = &self.nodes[child as usize].label;
                    let shared = label.iter().zip(rest).take_while(|(one, other)| one == other).count();
                    if shared < label.len() {
                        self.split(child, shared);
                    }
                    (node, rest) = (child, &rest[shared..]);
                }
            }
        }
        self.nodes[node as usize].postings.add(posting);
    }

    /// Cut a node's label after `shared` bytes: it keeps the beginning, and a new child gets all that it had.
    fn split(&mut self, node: u32, shared: usize) {
        let old = std::mem::take(&mut self.nodes[node as usize]);
        let (head, tail) = old.label.split_at(shared);
        let (head, first): (Box<[u8]>, u8) = (head.into(), tail[0]);
        let lower = self.make(Node { label: tail.into(), children: old.children, postings: old.postings });
        self.nodes[node as usize] = Node { label: head, children: vec![(first, lower)], postings: Postings::None };
    }

    /// Undo one `add`.
    pub fn remove(&mut self, text: &[u8], posting: u32) {
        let mut way = vec![(ROOT, 0)];
        let (mut node, mut rest) = (ROOT, text);
        while let Some(&byte) = rest.first() {
            let Ok(place) = self.child(node, byte) else { return };
            let child = self.nodes[node as usize].children[place].1;
            let Some(behind) = rest.strip_prefix(&*self.nodes[child as usize].label) else { return };
            way.push((child, place));
            (node, rest) = (child, behind);
        }
        self.texts -= 1;
        self.nodes[node as usize].postings.remove(posting);
        while let (Some((child, place)), Some(&(parent, _))) = (way.pop(), way.last()) {
            let emptied = &self.nodes[child as usize];
            if !emptied.children.is_empty() || !emptied.postings.as_slice().is_empty() {
                return;
            }
            self.nodes[child as usize] = Node::default();
            self.free.push(child);
            self.nodes[parent as usize].children.remove(place);
        }
    }

    /// How many postings stand at exactly this text.
    pub fn load(&self, text: &[u8]) -> usize {
        let (mut node, mut rest) = (ROOT, text);
        while let Some(&byte) = rest.first() {
            let Ok(place) = self.child_of_any(node, byte) else { return 0 };
            let child = self.nodes[node as usize].children[place].1;
            let Some(behind) = rest.strip_prefix(&*self.nodes[child as usize].label) else { return 0 };
            (node, rest) = (child, behind);
        }
        self.nodes.get(node as usize).map_or(0, |node| node.postings.as_slice().len())
    }

    fn child_of_any(&self, node: u32, byte: u8) -> Result<usize, usize> {
        if self.nodes.is_empty() { Err(0) } else { self.child(node, byte) }
    }

    /// Give the postings of every text that `value` begins with; those of a text that were `given` before are left out.
    #[inline]
    pub fn walk(&self, value: &[u8], given: &mut Given, out: &mut Vec<u32>) {
        let (mut node, mut rest) = (ROOT, value);
        while let Some(here) = self.nodes.get(node as usize) {
            let postings = here.postings.as_slice();
            if !postings.is_empty() && given.first(node) {
                out.extend_from_slice(postings);
            }
            let Some(&byte) = rest.first() else { return };
            let Ok(place) = here.children.binary_search_by_key(&byte, |&(first, _)| first) else { return };
            node = here.children[place].1;
            match rest.strip_prefix(&*self.nodes[node as usize].label) {
                Some(behind) => rest = behind,
                None => return,
            }
        }
    }

    pub fn bytes(&self) -> usize {
        let inside = |node: &Node| node.label.len() + node.children.capacity() * 8 + node.postings.bytes();
        self.nodes.capacity() * size_of::<Node>() + self.nodes.iter().map(inside).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeded::Numbers;

    #[test]
    fn it_finds_what_a_list_of_texts_finds() {
        let mut numbers = Numbers::new(7);
        for _ in 0..300 {
            let (mut radix, mut plain) = (Radix::default(), Vec::new());
            for posting in 0..numbers.below(30) as u32 {
                let text = numbers.text(b"ab", 6);
                radix.add(&text, posting);
                plain.push((text, posting));
                if numbers.below(4) == 0 {
                    let (text, posting) = plain.swap_remove(numbers.below(plain.len()));
                    radix.remove(&text, posting);
                }
            }
            let value = numbers.text(b"ab", 9);
            let mut found = Vec::new();
            let mut given = Given::default();
            given.begin();
            radix.walk(&value, &mut given, &mut found);
            let once = found.len();
            radix.walk(&value, &mut given, &mut found);
            assert_eq!(found.len(), once);
            found.sort_unstable();
            let mut wanted: Vec<u32> =
                plain.iter().filter(|(text, _)| value.starts_with(text)).map(|&(_, posting)| posting).collect();
            wanted.sort_unstable();
            assert_eq!(found, wanted);
            for (text, posting) in plain.drain(..) {
                radix.remove(&text, posting);
            }
            assert!(radix.texts == 0 && radix.nodes.iter().all(|node| node.children.is_empty()));
        }
    }
}
