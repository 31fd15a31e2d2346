/** A page that shows the API to people, with nothing loaded from elsewhere. */
import type { Erased } from "../../kernel/Erased.ts"

const escape = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;")

type Json = Record<string, Erased>

const schemaText = (schema: Json | undefined): string => (schema === undefined ? "" : JSON.stringify(schema, null, 2))

const operation = (method: string, path: string, entry: Json): string => {
  const body = schemaText(entry["requestBody"]?.content?.["application/json"]?.schema)
  const parameters = ((entry["parameters"] ?? []) as Array<Json>).map(
    (one) =>
      `<li><code>${escape(one["name"])}</code> in ${escape(one["in"])}${one["required"] === true ? ", required" : ""}${one["description"] === undefined ? "" : `: ${escape(one["description"])}`}</li>`
  )
  return `<details id="${escape(entry["operationId"] ?? "")}"><summary><b class="${method}">${method.toUpperCase()}</b> <code>${escape(path)}</code>
    <span>${escape(entry["summary"] ?? entry["operationId"] ?? "")}</span></summary>
    ${entry["description"] === undefined ? "" : `<p>${escape(entry["description"])}</p>`}
    ${parameters.length === 0 ? "" : `<h4>Parameters</h4><ul>${parameters.join("")}</ul>`}
    ${body === "" ? "" : `<h4>Body</h4><pre>${escape(body)}</pre>`}</details>`
}

const style = `:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}body{max-width:60rem;margin:2rem auto;padding:0 1rem}
code,pre{font-family:ui-monospace,monospace;font-size:.9em}pre{overflow:auto;padding:.75rem;border:1px solid #8886;border-radius:.4rem}
details{border-bottom:1px solid #8884;padding:.4rem 0}summary{cursor:pointer}summary span{opacity:.75;margin-left:.5rem}
b{display:inline-block;min-width:4.5rem}b.get{color:#1a7f37}b.post{color:#0969da}b.put,b.patch{color:#9a6700}b.delete{color:#cf222e}
@media (prefers-color-scheme:dark){b.get{color:#3fb950}b.post{color:#58a6ff}b.put,b.patch{color:#d29922}b.delete{color:#f85149}}`

/** The page for an OpenAPI document. */
export const docsPage = (document: Json): string => {
  const groups = new Map<string, Array<string>>()
  for (const [path, item] of Object.entries(document["paths"] as Json)) {
    for (const [method, entry] of Object.entries(item as Json)) {
      const tag = path.startsWith("/v1/cases/") ? "cases" : (entry["tags"]?.[0] ?? "other")
      groups.set(tag, [...(groups.get(tag) ?? []), operation(method, path, entry)])
    }
  }
  const sections = [...groups].map(([tag, entries]) => `<section><h2>${escape(tag)}</h2>${entries.join("")}</section>`)
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escape(document["info"].title)} API</title><style>${style}</style></head><body>
<h1>${escape(document["info"].title)} API <small>${escape(document["info"].version)}</small></h1>
<p>${escape(document["info"].description)} The machine-readable document: <a href="openapi.json">openapi.json</a>.</p>${sections.join("")}</body></html>`
}
