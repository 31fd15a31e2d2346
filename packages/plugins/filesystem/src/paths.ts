/**
 * Where a key's file stands. Different keys never meet: not on a file system that ignores case, not under the names that Windows
 * reserves, and not when one key is a folder of another.
 *
 * `reports/2026/A1.jpg` becomes `reports.dir/2026.dir/=a1.jpg.blob`: a capital is `=` and its small letter, a reserved name gets `~` in front,
 * and 100 characters of a longer name make a folder `….more` that holds its rest.
 */
import { join } from "node:path"

export type Kind = "blob" | "dir" | "more"

const longest = 100
const reserved = /^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)/

const encode = (text: string, kind: Kind): string => {
  const name = `${text.replace(/[A-Z]/g, (capital) => `=${capital.toLowerCase()}`)}.${kind}`
  return reserved.test(name) ? `~${name}` : name
}

/** What a name in a folder says, or undefined when it is not one of ours. */
export const decode = (name: string): { readonly text: string; readonly kind: Kind } | undefined => {
  const [, encoded, kind] = /^~?((?:[a-z0-9._-]|=[a-z])*)\.(blob|dir|more)$/.exec(name) ?? []
  if (encoded === undefined) return undefined
  const text = encoded.replace(/=[a-z]/g, (escaped) => escaped.slice(1).toUpperCase())
  return encode(text, kind as Kind) === name ? { text, kind: kind as Kind } : undefined
}

/** Path of the key's file below the store's folder. */
export const pathOf = (key: string): string => {
  const segments = key.split("/")
  const names = segments.flatMap((segment, index) => {
    const last = segment.length - (segment.length % longest)
    const chunks = Array.from({ length: last / longest }, (_, chunk) =>
      encode(segment.slice(chunk * longest, (chunk + 1) * longest), "more")
    )
    return [...chunks, encode(segment.slice(last), index === segments.length - 1 ? "blob" : "dir")]
  })
  return join(...names)
}
