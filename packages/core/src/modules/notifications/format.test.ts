import { describe, expect, it } from "vitest"
import { chainOf, clean, format, htmlMistake, inChain, textMistake } from "./format.ts"
import { render } from "./templates.ts"
import { builtIn } from "./texts.ts"

const variables = ["title", "state", "count", "link"]

describe("a template", () => {
  it.each([
    ["{title} is now: {state}.", undefined],
    ["{count, plural, one {# case} other {# cases}}", undefined],
    ["{state, select, new {begun} other {{title}}}", undefined],
    ["It's {title}'s turn", undefined],
    ["{tittle}", /\{tittle\} is not among its variables: \{title\}/],
    ["{count, plural, one {{who}} other {#}}", /\{who\} is not among/],
    ["{title", /no ICU message/],
    ["{count, plural, one {#}}", /no ICU message/],
    ["a\u0000b", /control characters/],
    ["{__proto__}", /\{__proto__\} is not among/],
    ["{".repeat(2_000), /no ICU message/]
  ])("is judged when it is saved: %j", (text, expected) => {
    const found = textMistake(text, "en", variables)
    if (expected === undefined) expect(found).toBeUndefined()
    else expect(found).toMatch(expected)
  })

  it.each([
    ["<p>{title} is <strong>{state}</strong></p>", true],
    ['<a href="https://city.example/x?a=1">more</a>', true],
    ['<a href="{link}">more</a><br/>', true],
    ["<script>alert(1)</script>", false],
    ["<p onclick=alert(1)>x</p>", false],
    ['<img src="https://evil.example/x.png">', false],
    ['<a href="javascript:alert(1)">x</a>', false],
    ['<a href="https://x.example" onmouseover="a">x</a>', false],
    ['<a href="{title}">x</a>', false],
    ["<p", false],
    ["<!-- x -->", false],
    ["<style>p{}</style>", false],
    ["<iframe src='https://x'></iframe>", false]
  ])("has no markup that does anything: %s", (html, good) => {
    expect(htmlMistake(html, "en", variables) === undefined).toBe(good)
  })

  it("says something sensible where a value is missing, and never a word of a program", () => {
    expect(format("{title} is now: {state}.", "en", { title: "Pothole" })).toBe("Pothole is now: —.")
    expect(format("{count, plural, one {# case} other {# cases}}", "en", {})).toBe("0 cases")
    expect(format("{count, plural, one {# case} other {# cases}}", "en", { count: "many" })).toBe("0 cases")
    expect(format("{constructor}", "en", {})).toBe("—")
    expect(render("ru", { text: "{broken" }, { city: "Самарканд" }).text).toBe("Самарканд: для вас есть новости.")
    expect(render("xx-Nowhere-such", { text: "{title}" }, { title: "A" }).text).not.toMatch(/undefined|null|\{/)
  })

  it("escapes values in HTML and leaves them as they are in text", () => {
    const values = { title: `<img src=x onerror="alert('1')">&` }
    expect(format("<p>{title}</p>", "en", values, true)).toBe(
      "<p>&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;</p>"
    )
    expect(format("{title}", "en", values)).toBe(values.title)
    // Braces in a value are letters.
    expect(format("{title}", "en", { title: "{state} {0}" })).toBe("{state} {0}")
  })

  it("keeps names from turning the sentence around, and from being longer than a message", () => {
    expect(clean("Ali\u202e\u2066cba\u200f\u0007")).toBe("Alicba")
    const long = clean("я".repeat(10_000_000))
    expect(long).toHaveLength(1_001)
    expect(format("{title}", "uz", { title: "x".repeat(10_000_000) })!.length).toBe(1_001)
  })

  it("puts numbers in the way of its language", () => {
    const { texts } = builtIn["digest"]!
    const of = (language: string, count: number) =>
      render(language, texts[language]!, { city: "C", count, items: "i" }).text
    expect([1, 2, 5, 21].map((count) => of("ru", count).split("\n")[0])).toEqual([
      "C: 1 новость.",
      "C: 2 новости.",
      "C: 5 новостей.",
      "C: 21 новость."
    ])
    expect(of("en", 1)).toBe("C: one piece of news.\ni")
  })

  it("is built in for every language of the engine, without a mistake", () => {
    for (const [key, { texts, variables: known }] of Object.entries(builtIn)) {
      if (key !== "case-notice")
        expect(Object.keys(texts).toSorted((a, b) => a.localeCompare(b))).toEqual(["en", "ka", "ru", "uz", "uz-Cyrl"])
      for (const [language, { subject, text }] of Object.entries(texts)) {
        expect([key, language, textMistake(text, language, known)]).toEqual([key, language, undefined])
        if (subject !== undefined)
          expect([key, language, textMistake(subject, language, known)]).toEqual([key, language, undefined])
      }
    }
  })
})

describe("the languages of a text", () => {
  it.each([
    ["uz-Cyrl", "ru", ["uz-Cyrl", "uz", "ru", "en"]],
    ["uz-Cyrl-UZ", "uz", ["uz-Cyrl-UZ", "uz-Cyrl", "uz", "en"]],
    ["ka", "uz-Cyrl", ["ka", "uz-Cyrl", "uz", "en"]],
    ["en", undefined, ["en"]],
    ["sr", "en", ["sr", "en"]]
  ])("of somebody who reads %s in a city of %s are tried in order", (language, city, expected) => {
    expect(chainOf(language, city)).toEqual(expected)
  })

  it("give the first that is written", () => {
    expect(inChain({ en: 1, ru: 2 }, chainOf("uz-Cyrl", "ru"))).toEqual(["ru", 2])
    expect(inChain({ constructor: 1 }, ["en"])).toBeUndefined()
    expect(inChain({}, ["toString"])).toBeUndefined()
  })
})
