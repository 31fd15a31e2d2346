const types = ["NBIRTH", "NDEATH", "NDATA", "NCMD", "DBIRTH", "DDEATH", "DDATA", "DCMD"] as const

/** `spBv1.0/{group}/{type}/{node}[/{device}]`; `group` and `node` together name the edge node. */
export interface SparkplugTopic {
  readonly group: string
  readonly type: (typeof types)[number] | "STATE"
  /** The host's id where the type is STATE. */
  readonly node: string
  /** There for types that begin with D, and only for those. */
  readonly device?: string
}

/** Undefined where it is no topic of Sparkplug B 3.0 (section 4.1). */
export const parseTopic = (topic: string): SparkplugTopic | undefined => {
  const [namespace, group, word, node, device, ...rest] = topic.split("/")
  if (namespace !== "spBv1.0" || rest.length > 0 || !group || !word) return undefined
  if (group === "STATE") return node === undefined ? { group: "", type: "STATE", node: word } : undefined
  const type = types.find((one) => one === word)
  if (type === undefined || !node || (device !== undefined) !== type.startsWith("D") || device === "") return undefined
  return { group, type, node, ...(device === undefined ? {} : { device }) }
}
