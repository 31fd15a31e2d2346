import { readFileSync } from "node:fs"
import { expect, it } from "vitest"

const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8")

it.each(["src/townSms.ts", "src/townSmsEffect.ts", "test/townSms.test.ts"])("the guide shows %s as it is", (path) => {
  const guide = read("../../../docs/guides/plugin-author.md")
  const [, block] =
    new RegExp(`<!-- examples/plugin-author/${path} -->\\s*\`\`\`ts\\n([\\s\\S]*?)\`\`\``).exec(guide) ?? []
  expect(block).toBe(read(`../${path}`))
})
