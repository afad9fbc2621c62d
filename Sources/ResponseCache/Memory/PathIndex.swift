/// The tree of the normal paths of what is stored, so that invalidation costs what it hits and hits cost nothing.
///
/// A node exists while something is stored at its path or below it. Finding one is a dictionary look-up; marking
/// what is below follows the children.
struct PathIndex {
    static let none = UInt32.max

    struct Node {
        var path: String
        var parent = PathIndex.none
        var firstChild = PathIndex.none
        var previousSibling = PathIndex.none
        /// The next free node while free.
        var nextSibling = PathIndex.none
        var slots = SlotList()
        /// Nothing unmarked has come since all slots of this node were marked, so marking again is free.
        var isAllInvalidated = false
        /// The same for the slots of some partitions.
        private var invalidatedPartitions: Set<CachePartition> = []

        private static let maxInvalidatedPartitions = 16

        init(path: String, nextSibling: UInt32 = PathIndex.none) {
            self.path = path
            self.nextSibling = nextSibling
        }

        /// Whether all slots of a partition are marked.
        func isInvalidated(for partition: CachePartition) -> Bool { invalidatedPartitions.contains(partition) }

        /// Notes that all slots of a partition are marked now.
        mutating func noteInvalidated(for partition: CachePartition) {
            // What is not remembered is marked again.
            if invalidatedPartitions.count >= Self.maxInvalidatedPartitions { invalidatedPartitions.removeAll() }
            invalidatedPartitions.insert(partition)
        }

        /// Notes that something unmarked has come to a partition.
        mutating func noteCurrent(for partition: CachePartition) {
            isAllInvalidated = false
            invalidatedPartitions.remove(partition)
        }
    }

    private(set) var nodes: [Node] = []
    private var byPath: [String: UInt32] = [:]
    private var firstFree = PathIndex.none
    /// What the nodes take.
    private(set) var bytes = 0

    /// A node, its place in an array that may just have doubled, and in a dictionary that is at least 3/8 full.
    static let nodeBytes = 2 * MemoryLayout<Node>.stride + (MemoryLayout<(String, UInt32)>.stride + 1) * 8 / 3

    subscript(_ index: UInt32) -> Node {
        _read { yield nodes[Int(index)] }
        _modify { yield &nodes[Int(index)] }
    }

    /// What a path's text takes besides: the header of its string and its bytes.
    private static func cost(_ path: String) -> Int { nodeBytes + 32 + path.utf8.count }

    /// What storing at a path can take at most.
    static func maxCost(_ path: String) -> Int {
        (path.utf8.count { $0 == UInt8(ascii: "/") } + 1) * cost(path)
    }

    func find(_ path: String) -> UInt32? { byPath[path] }

    /// The node of a path; it and those above it are made if need be.
    mutating func node(_ path: String) -> UInt32 {
        if let known = byPath[path] { return known }
        let parent = Self.parent(path).map { node($0) }
        let index = add(Node(path: path))
        byPath[path] = index
        bytes += Self.cost(path)
        if let parent {
            let next = self[parent].firstChild
            self[index].parent = parent
            self[index].nextSibling = next
            if next != Self.none { self[next].previousSibling = index }
            self[parent].firstChild = index
        }
        return index
    }

    /// Takes a node away if nothing is stored at it or below, and so on upwards.
    mutating func removeIfEmpty(_ start: UInt32) {
        var index = start
        while index != Self.none, self[index].slots.isEmpty, self[index].firstChild == Self.none {
            let node = self[index]
            byPath[node.path] = nil
            bytes -= Self.cost(node.path)
            if node.previousSibling != Self.none {
                self[node.previousSibling].nextSibling = node.nextSibling
            } else if node.parent != Self.none {
                self[node.parent].firstChild = node.nextSibling
            }
            if node.nextSibling != Self.none { self[node.nextSibling].previousSibling = node.previousSibling }
            self[index] = Node(path: "", nextSibling: firstFree)
            firstFree = index
            index = node.parent
        }
    }

    /// The nodes at and below a path, without recursion.
    func subtree(_ root: UInt32) -> [UInt32] {
        var found = [root]
        var position = 0
        while position < found.count {
            var child = self[found[position]].firstChild
            while child != Self.none {
                found.append(child)
                child = self[child].nextSibling
            }
            position += 1
        }
        return found
    }

    /// The path above; nil for "/".
    static func parent(_ path: String) -> String? {
        guard path.utf8.count > 1, let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return nil }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private mutating func add(_ node: Node) -> UInt32 {
        guard firstFree != Self.none else {
            nodes.append(node)
            return UInt32(nodes.count - 1)
        }
        let index = firstFree
        firstFree = self[index].nextSibling
        self[index] = node
        return index
    }
}
