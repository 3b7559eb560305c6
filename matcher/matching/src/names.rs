//! The paths that rules look at, as a tree of names, so that an event is read only where somebody looks.
//!
//! A path is the names on the way to it joined by dots; a dot inside a name can't be told from nesting. A node stands
//! for one path, and its number is the number of that field.

use hashbrown::HashTable;

use crate::hash::Seed;

pub const NOWHERE: u32 = u32::MAX;
pub const ROOT: u32 = 0;

pub struct Node {
    name: Box<[u8]>,
    parent: u32,
    /// How many predicates look at exactly this path.
    pub uses: u32,
    pub children: u32,
    /// A bit for each first byte of the children's names: most names of an event are passed by this.
    mask: u64,
    /// Whether a value whose own name led here undivided belongs here: not with an empty name inside an object.
    pub direct: bool,
}

pub struct Names {
    pub nodes: Vec<Node>,
    free: Vec<u32>,
    edges: HashTable<u32>,
    seed: Seed,
}

#[inline]
fn mask_of(name: &[u8]) -> u64 {
    // An empty name may begin one with dots.
    1 << (name.first().unwrap_or(&b'.') % 64)
}

impl Names {
    pub fn new(seed: Seed) -> Self {
        let root = Node { name: [].into(), parent: NOWHERE, uses: 0, children: 0, mask: 0, direct: false };
        Self { nodes: vec![root], free: Vec::new(), edges: HashTable::new(), seed }
    }

    /// The node that a member's name leads to, and whether the name is undivided.
    #[inline]
    pub fn led_to(&self, node: u32, name: &[u8]) -> (u32, bool) {
        if self.nodes[node as usize].mask & mask_of(name) == 0 {
            return (NOWHERE, true);
        }
        if name.contains(&b'.') { (self.below_dotted(node, name), false) } else { (self.child(node, name), true) }
    }

    fn child(&self, node: u32, name: &[u8]) -> u32 {
        let same = |&child: &u32| {
            let child = &self.nodes[child as usize];
            child.parent == node && *child.name == *name
        };
        self.edges.find(self.seed.of(node.into(), name), same).copied().unwrap_or(NOWHERE)
    }

    fn below_dotted(&self, mut node: u32, name: &[u8]) -> u32 {
        for part in name.split(|&byte| byte == b'.') {
            if node == NOWHERE {
                break;
            }
            node = self.child(node, part);
        }
        node
    }

    /// The node of a path, made where there is none. Every call is undone by one `release`.
    pub fn retain(&mut self, path: &[u8]) -> u32 {
        let mut node = ROOT;
        for name in path.split(|&byte| byte == b'.') {
            let child = self.child(node, name);
            node = if child == NOWHERE { self.make(node, name) } else { child };
        }
        let last = path.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
        self.nodes[node as usize].direct = !last.is_empty() || path.is_empty();
        self.nodes[node as usize].uses += 1;
        node
    }

    fn make(&mut self, parent: u32, name: &[u8]) -> u32 {
        let node = Node { name: name.into(), parent, uses: 0, children: 0, mask: 0, direct: false };
        let at = match self.free.pop() {
            Some(at) => {
                self.nodes[at as usize] = node;
                at
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() as u32 - 1
            }
        };
        self.nodes[parent as usize].children += 1;
        self.nodes[parent as usize].mask |= mask_of(name);
        let (nodes, seed) = (&self.nodes, self.seed);
        let hash_of = |&at: &u32| seed.of(nodes[at as usize].parent.into(), &nodes[at as usize].name);
        self.edges.insert_unique(seed.of(parent.into(), name), at, hash_of);
        at
    }

    /// Undo one `retain`; names that lead nowhere any more go too.
    pub fn release(&mut self, mut node: u32) {
        self.nodes[node as usize].uses -= 1;
        while node != ROOT && self.nodes[node as usize].uses == 0 && self.nodes[node as usize].children == 0 {
            let gone = &mut self.nodes[node as usize];
            let (parent, name) = (gone.parent, std::mem::take(&mut gone.name));
            if let Ok(edge) = self.edges.find_entry(self.seed.of(parent.into(), &name), |&at| at == node) {
                edge.remove();
            }
            self.free.push(node);
            let above = &mut self.nodes[parent as usize];
            above.children -= 1;
            if above.children == 0 {
                above.mask = 0;
            }
            node = parent;
        }
    }

    /// Whether nothing is left of what was there.
    pub fn is_clear(&self) -> bool {
        self.edges.is_empty() && self.nodes.iter().all(|node| node.uses == 0 && node.children == 0)
    }

    pub fn bytes(&self) -> usize {
        let names: usize = self.nodes.iter().map(|node| node.name.len()).sum();
        self.nodes.capacity() * size_of::<Node>() + names + self.edges.capacity() * 5
    }
}
