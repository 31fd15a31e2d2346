/** What people read when they sign in. Short enough for one SMS; without a link, so that nobody learns to follow links. */

const texts: Readonly<Record<string, (code: string, city: string) => string>> = {
  en: (code, city) => `${code} is your code for ${city}. Tell it to nobody.`,
  uz: (code, city) => `${city} uchun kodingiz: ${code}. Uni hech kimga aytmang.`,
  ru: (code, city) => `${code}: ваш код для ${city}. Никому его не сообщайте.`,
  ka: (code, city) => `${code}: თქვენი კოდი, ${city}. არავის უთხრათ.`
}

export const noticeKinds = ["new-device", "session-copied", "factor-added", "factor-removed"] as const
export type NoticeKind = (typeof noticeKinds)[number]

const notices: Readonly<Record<string, Readonly<Record<NoticeKind, string>>>> = {
  en: {
    "new-device": "Somebody signed in as you on a new device. If it was not you, end that session in the app.",
    "session-copied": "A sign-in of yours was used in two places and has been ended. Sign in again.",
    "factor-added": "A second way to prove who you are was added to your account.",
    "factor-removed": "A second way to prove who you are was removed from your account."
  },
  uz: {
    "new-device": "Hisobingizga yangi qurilmadan kirildi. Bu siz bo'lmasangiz, ilovada o'sha seansni yakunlang.",
    "session-copied": "Seansingiz ikki joyda ishlatildi va yakunlandi. Qaytadan kiring.",
    "factor-added": "Hisobingizga ikkinchi tasdiqlash usuli qo'shildi.",
    "factor-removed": "Hisobingizdan ikkinchi tasdiqlash usuli olib tashlandi."
  },
  ru: {
    "new-device": "В вашу учётную запись вошли с нового устройства. Если это не вы, завершите этот сеанс в приложении.",
    "session-copied": "Ваш сеанс использовался в двух местах и завершён. Войдите снова.",
    "factor-added": "К вашей учётной записи добавлен второй способ подтверждения.",
    "factor-removed": "Из вашей учётной записи удалён второй способ подтверждения."
  },
  ka: {
    "new-device": "თქვენს ანგარიშზე ახალი მოწყობილობიდან შევიდნენ. თუ ეს თქვენ არ იყავით, დაასრულეთ ის სესია აპში.",
    "session-copied": "თქვენი სესია ორ ადგილას გამოიყენეს და დასრულდა. შედით ხელახლა.",
    "factor-added": "თქვენს ანგარიშს დაემატა დადასტურების მეორე გზა.",
    "factor-removed": "თქვენი ანგარიშიდან წაიშალა დადასტურების მეორე გზა."
  }
}

const inLanguage = <A>(all: Readonly<Record<string, A>>, language: string): A =>
  all[language] ?? all[language.split("-")[0] ?? "en"] ?? all["en"]!

/** The message with a one-time code; English where the language has no text of its own. */
export const codeText = (code: string, city: string, language: string): string =>
  inLanguage(texts, language)(code, city)

/** What happened to an account. */
export const noticeText = (kind: NoticeKind, city: string, language: string): string =>
  `${city}: ${inLanguage(notices, language)[kind]}`
