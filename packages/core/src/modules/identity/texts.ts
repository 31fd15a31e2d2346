/** What people read when they sign in. Short enough for one SMS; without a link, so that nobody learns to follow links. */

const texts: Readonly<Record<string, (code: string, city: string) => string>> = {
  en: (code, city) => `${code} is your code for ${city}. Tell it to nobody.`,
  uz: (code, city) => `${city} uchun kodingiz: ${code}. Uni hech kimga aytmang.`,
  ru: (code, city) => `${code}: ваш код для ${city}. Никому его не сообщайте.`,
  ka: (code, city) => `${code}: თქვენი კოდი, ${city}. არავის უთხრათ.`
}

/** The message with a one-time code; English where the language has no text of its own. */
export const codeText = (code: string, city: string, language: string): string =>
  (texts[language] ?? texts[language.split("-")[0] ?? "en"] ?? texts["en"]!)(code, city)
