/**
 * National plate formats as data. `L` is a letter, `D` a digit, `P` a letter that Polish serials use, and `RR` the two digits of an Uzbek
 * region; lower-case letters stand for themselves. Spaces are for the human reader.
 */
export interface Format {
  /** As `uz-private`. */
  readonly name: string
  /** ISO 3166-1 alpha-2; absent for what fits no single country. */
  readonly country?: string
  readonly shapes: ReadonlyArray<string>
}

/** Letters before digits in every combination of lengths, as German plates have them. */
const spread = (letters: ReadonlyArray<number>, digits: ReadonlyArray<number>): Array<string> =>
  letters.flatMap((l) => digits.map((d) => "L".repeat(l) + "D".repeat(d)))

export const formats: ReadonlyArray<Format> = [
  // Uzbekistan, the system of 2008: region, then the series. Electric cars bear the same shapes on green.
  { name: "uz-private", country: "UZ", shapes: ["RR L DDD LL"] },
  { name: "uz-legal", country: "UZ", shapes: ["RR DDD LLL"] },
  { name: "uz-trailer", country: "UZ", shapes: ["RR DDDD LL"] },
  // Motorcycles, and since 2013 tractors.
  { name: "uz-motorcycle", country: "UZ", shapes: ["RR DDD LL"] },
  { name: "uz-foreign-company", country: "UZ", shapes: ["RR m DDDDDD"] },
  { name: "uz-foreigner", country: "UZ", shapes: ["RR h DDDDDD"] },
  { name: "uz-temporary", country: "UZ", shapes: ["t DDDDDD RR"] },
  { name: "uz-diplomatic", country: "UZ", shapes: ["d DDDDDD", "t DDDDDD", "x DDDDDD"] },
  { name: "uz-head-of-mission", country: "UZ", shapes: ["cmd DDDD", "cmd DDDDDD"] },
  { name: "uz-united-nations", country: "UZ", shapes: ["un DDDD", "un DDDDDD"] },
  { name: "uz-state", country: "UZ", shapes: ["paa DDD"] },

  // Georgia: the series of 2014, the one before it, and the special ones.
  { name: "ge-private", country: "GE", shapes: ["LL DDD LL"] },
  { name: "ge-private-2004", country: "GE", shapes: ["LLL DDD"] },
  { name: "ge-trailer", country: "GE", shapes: ["LL DDD L"] },
  { name: "ge-motorcycle", country: "GE", shapes: ["LL DDDD"] },
  { name: "ge-farm", country: "GE", shapes: ["LL DDD"] },
  { name: "ge-temporary", country: "GE", shapes: ["ga DDDD", "ge DDDD", "gg DDDD", "gc DDDD", "gp DDDD", "g DDDD"] },
  { name: "ge-diplomatic", country: "GE", shapes: ["cmd DDDD", "cd DDDD", "d DDDDD"] },

  // Europe and neighbours: enough of the common series to tell letters from digits.
  { name: "sk-private", country: "SK", shapes: ["LL DDD LL"] },
  { name: "sk-own-choice", country: "SK", shapes: ["LL LLLLL", "LL LLLLD", "LL LLLDD"] },
  { name: "cz-private", country: "CZ", shapes: ["D L D DDDD"] },
  { name: "cz-before-2001", country: "CZ", shapes: ["LL DDDD", "LLL DDDD"] },
  {
    name: "de-private",
    country: "DE",
    shapes: spread([2, 3, 4, 5], [1, 2, 3, 4]).filter((s) => s.length >= 4 && s.length <= 8)
  },
  {
    name: "pl-private",
    country: "PL",
    shapes: [
      "LL DDDDD",
      "LL DDDDP",
      "LL DDDPP",
      "LL DPDDD",
      "LL DPPDD",
      "LLL PDDD",
      "LLL DDPP",
      "LLL DPDD",
      "LLL DDPD",
      "LLL PPDD",
      "LLL DDDDD"
    ]
  },
  { name: "hu-private", country: "HU", shapes: ["LLL DDD", "LLLL DDD"] },
  { name: "at-private", country: "AT", shapes: ["L DDDDD L", "L DDDD L", "LL DDD LL", "LL DDDD L"] },
  { name: "it-private", country: "IT", shapes: ["LL DDD LL"] },
  { name: "fr-private", country: "FR", shapes: ["LL DDD LL"] },
  { name: "es-private", country: "ES", shapes: ["DDDD LLL"] },
  { name: "gb-private", country: "GB", shapes: ["LL DD LLL"] },
  { name: "ua-private", country: "UA", shapes: ["LL DDDD LL"] },
  { name: "kz-private", country: "KZ", shapes: ["DDD LLL DD", "DDD LL DD"] },
  { name: "ru-private", country: "RU", shapes: ["L DDD LL DD", "L DDD LL DDD"] },
  { name: "am-private", country: "AM", shapes: ["DD LL DDD", "DDD LL DD"] },
  { name: "az-private", country: "AZ", shapes: ["DD LL DDD"] },
  {
    name: "tr-private",
    country: "TR",
    shapes: ["DD L DDDD", "DD L DDDDD", "DD LL DDD", "DD LL DDDD", "DD LLL DD", "DD LLL DDD"]
  }
]

/** Own-choice plates of many countries: words, perhaps with a digit or two at the end. */
export const ownChoice: Format = {
  name: "eu-own-choice",
  shapes: ["LLLL", "LLLLL", "LLLLLL", "LLLLLLL", "LLLLLLLL", "LLLLLD", "LLLLLLD", "LLLLLLLD", "LLLLLDD", "LLLLLLDD"]
}

/** Anything else of a plate's length with both letters and digits in it. */
export const generic: Format = { name: "eu-generic", shapes: [] }
