type Set = "queue" | "node-red" | "floor" | "parse" | "directus"
/** Where a set lies. */
export declare const peerFolder: (set: Set) => string
/** Installs once for each set of versions, with the npm beside `node`. Default: the queue's, this Node. */
export declare const ensurePeers: (set?: Set, node?: string) => void
/** A peer's module. */
export declare const importPeer: (name: string, set?: Set) => Promise<unknown>
