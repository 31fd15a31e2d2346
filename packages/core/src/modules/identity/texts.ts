/** What people read when they sign in. Short enough for one SMS; without a link, so that nobody learns to follow links. */
import type { CodePurpose } from "./model.ts"

const texts: Readonly<Record<string, (code: string, city: string) => string>> = {
  en: (code, city) => `${code} is your code for ${city}. Tell it to nobody.`,
  uz: (code, city) => `${city} uchun kodingiz: ${code}. Uni hech kimga aytmang.`,
  "uz-Cyrl": (code, city) => `${city} учун кодингиз: ${code}. Уни ҳеч кимга айтманг.`,
  ru: (code, city) => `${code}: ваш код для ${city}. Никому его не сообщайте.`,
  ka: (code, city) => `${code}: თქვენი კოდი, ${city}. არავის უთხრათ.`
}

const deletion: typeof texts = {
  en: (code, city) => `${code} is the code to DELETE your account in ${city}. Tell it to nobody.`,
  uz: (code, city) => `${city}: hisobingizni O'CHIRISH kodi: ${code}. Uni hech kimga aytmang.`,
  "uz-Cyrl": (code, city) => `${city}: ҳисобингизни ЎЧИРИШ коди: ${code}. Уни ҳеч кимга айтманг.`,
  ru: (code, city) => `${code}: код для УДАЛЕНИЯ вашей учётной записи, ${city}. Никому его не сообщайте.`,
  ka: (code, city) => `${code}: კოდი ანგარიშის წასაშლელად, ${city}. არავის უთხრათ.`
}

export const noticeKinds = [
  "new-device",
  "session-copied",
  "factor-added",
  "factor-removed",
  "identity-confirmed",
  "identity-tried",
  "openid-linked",
  "openid-unlinked"
] as const
export type NoticeKind = (typeof noticeKinds)[number]

const notices: Readonly<Record<string, Readonly<Record<NoticeKind, string>>>> = {
  en: {
    "new-device": "Somebody signed in as you on a new device. If it was not you, end that session in the app.",
    "session-copied": "A sign-in of yours was used in two places and has been ended. Sign in again.",
    "factor-added": "A second way to prove who you are was added to your account.",
    "factor-removed": "A second way to prove who you are was removed from your account.",
    "identity-confirmed": "A register has confirmed who you are. If it was not you who asked, tell the city.",
    "identity-tried": "Somebody tried to confirm another account with your identity. If it was not you, tell the city.",
    "openid-linked": "An account elsewhere can now sign in as you. If it was not you, remove it in the app.",
    "openid-unlinked": "An account elsewhere can no longer sign in as you."
  },
  uz: {
    "new-device": "Hisobingizga yangi qurilmadan kirildi. Bu siz bo'lmasangiz, ilovada o'sha seansni yakunlang.",
    "session-copied": "Seansingiz ikki joyda ishlatildi va yakunlandi. Qaytadan kiring.",
    "factor-added": "Hisobingizga ikkinchi tasdiqlash usuli qo'shildi.",
    "factor-removed": "Hisobingizdan ikkinchi tasdiqlash usuli olib tashlandi.",
    "identity-confirmed": "Shaxsingiz reyestr tomonidan tasdiqlandi. So'ragan siz bo'lmasangiz, shaharga xabar bering.",
    "identity-tried":
      "Kimdir sizning shaxsingiz bilan boshqa hisobni tasdiqlamoqchi bo'ldi. Bu siz bo'lmasangiz, shaharga xabar bering.",
    "openid-linked":
      "Endi boshqa tizimdagi hisob orqali sizning nomingizdan kirish mumkin. Bu siz bo'lmasangiz, uni ilovada olib tashlang.",
    "openid-unlinked": "Boshqa tizimdagi hisob orqali endi sizning nomingizdan kirib bo'lmaydi."
  },
  "uz-Cyrl": {
    "new-device": "Ҳисобингизга янги қурилмадан кирилди. Бу сиз бўлмасангиз, иловада ўша сеансни якунланг.",
    "session-copied": "Сеансингиз икки жойда ишлатилди ва якунланди. Қайтадан киринг.",
    "factor-added": "Ҳисобингизга иккинчи тасдиқлаш усули қўшилди.",
    "factor-removed": "Ҳисобингиздан иккинчи тасдиқлаш усули олиб ташланди.",
    "identity-confirmed": "Шахсингиз реестр томонидан тасдиқланди. Сўраган сиз бўлмасангиз, шаҳарга хабар беринг.",
    "identity-tried":
      "Кимдир сизнинг шахсингиз билан бошқа ҳисобни тасдиқламоқчи бўлди. Бу сиз бўлмасангиз, шаҳарга хабар беринг.",
    "openid-linked":
      "Энди бошқа тизимдаги ҳисоб орқали сизнинг номингиздан кириш мумкин. Бу сиз бўлмасангиз, уни иловада олиб ташланг.",
    "openid-unlinked": "Бошқа тизимдаги ҳисоб орқали энди сизнинг номингиздан кириб бўлмайди."
  },
  ru: {
    "new-device": "В вашу учётную запись вошли с нового устройства. Если это не вы, завершите этот сеанс в приложении.",
    "session-copied": "Ваш сеанс использовался в двух местах и завершён. Войдите снова.",
    "factor-added": "К вашей учётной записи добавлен второй способ подтверждения.",
    "factor-removed": "Из вашей учётной записи удалён второй способ подтверждения.",
    "identity-confirmed": "Реестр подтвердил вашу личность. Если запрос отправили не вы, сообщите городу.",
    "identity-tried":
      "Кто-то пытался подтвердить другую учётную запись вашими данными. Если это не вы, сообщите городу.",
    "openid-linked":
      "Теперь от вашего имени можно войти через учётную запись другой службы. Если это не вы, уберите её в приложении.",
    "openid-unlinked": "Войти от вашего имени через учётную запись другой службы больше нельзя."
  },
  ka: {
    "new-device": "თქვენს ანგარიშზე ახალი მოწყობილობიდან შევიდნენ. თუ ეს თქვენ არ იყავით, დაასრულეთ ის სესია აპში.",
    "session-copied": "თქვენი სესია ორ ადგილას გამოიყენეს და დასრულდა. შედით ხელახლა.",
    "factor-added": "თქვენს ანგარიშს დაემატა დადასტურების მეორე გზა.",
    "factor-removed": "თქვენი ანგარიშიდან წაიშალა დადასტურების მეორე გზა.",
    "identity-confirmed": "რეესტრმა დაადასტურა თქვენი ვინაობა. თუ თქვენ არ გიკითხავთ, აცნობეთ ქალაქს.",
    "identity-tried":
      "ვიღაცამ სცადა სხვა ანგარიშის დადასტურება თქვენი ვინაობით. თუ ეს თქვენ არ იყავით, აცნობეთ ქალაქს.",
    "openid-linked":
      "ახლა თქვენი სახელით შესვლა სხვა სამსახურის ანგარიშითაც შეიძლება. თუ ეს თქვენ არ იყავით, წაშალეთ ის აპში.",
    "openid-unlinked": "სხვა სამსახურის ანგარიშით თქვენი სახელით შესვლა აღარ შეიძლება."
  }
}

/** A text in a language, in its main language, or in English. */
export const inLanguage = <A>(all: Readonly<Record<string, A>>, language: string): A =>
  all[language] ?? all[language.split("-")[0] ?? "en"] ?? all["en"]!

/** The message with a one-time code; English where the language has no text of its own. */
export const codeText = (code: string, city: string, language: string, purpose?: CodePurpose): string =>
  inLanguage(purpose === "delete-account" ? deletion : texts, language)(code, city)

/** What happened to an account. */
export const noticeText = (kind: NoticeKind, city: string, language: string): string =>
  `${city}: ${inLanguage(notices, language)[kind]}`
