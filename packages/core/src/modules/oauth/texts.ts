/** What people read when an app asks for access. */
import type { Tenant } from "../../kernel/tenancy/Tenant.ts"
import { type Language, languages } from "./scopes.ts"

export interface Texts {
  readonly signInTitle: (app: string, city: string) => string
  readonly phone: string
  readonly phoneHint: string
  readonly sendCode: string
  readonly codeTitle: string
  readonly codeSent: (phone: string) => string
  readonly code: string
  readonly signIn: string
  readonly otherPhone: string
  readonly factorTitle: string
  readonly factorHint: string
  readonly recoveryHint: string
  readonly wrongFactor: string
  readonly passkeyOnly: string
  readonly consentTitle: (app: string) => string
  readonly consentWhat: (app: string) => string
  readonly always: string
  readonly signedInAs: (name: string) => string
  readonly somebodyElse: string
  readonly allow: string
  readonly refuse: string
  readonly goesTo: (host: string) => string
  readonly takeBack: string
  readonly website: string
  readonly failed: string
  readonly wrongPhone: string
  readonly wrongCode: string
  readonly wait: (seconds: number) => string
  readonly notForStaff: string
  readonly expired: string
  readonly error: string
  readonly goBack: string
  readonly lastDigits: (digits: string) => string
}

const texts: Readonly<Record<Language, Texts>> = {
  en: {
    signInTitle: (app, city) => `Sign in to ${city} to go on with ${app}`,
    phone: "Your phone number",
    phoneHint: "With country code, as +998901234567",
    sendCode: "Send me a code",
    codeTitle: "Enter the code",
    codeSent: (phone) =>
      `We have sent a code of six digits to the number ending in ${phone}. It is good for four minutes.`,
    code: "Code",
    signIn: "Sign in",
    otherPhone: "Use another number",
    factorTitle: "Show your second factor",
    factorHint: "Six digits from your authenticator app, or one of your recovery codes.",
    recoveryHint: "One of your recovery codes. A passkey cannot be used on this page.",
    wrongFactor: "The code is wrong or was used before. Wait for the next one.",
    passkeyOnly:
      "This account is protected by a passkey, which this page cannot ask for. Make recovery codes or add an authenticator app in the city’s own app.",
    consentTitle: (app) => `${app} asks for access`,
    consentWhat: (app) => `Choose what ${app} may do. It gets nothing that you do not tick.`,
    always: "Needed for this",
    signedInAs: (name) => `You are signed in as ${name}.`,
    somebodyElse: "Sign in as somebody else",
    allow: "Allow what is ticked",
    refuse: "Refuse",
    goesTo: (host) => `Afterwards you go back to ${host}.`,
    takeBack: "You can take this back at any time in the list of your apps.",
    website: "Website of the app",
    failed: "This did not work",
    wrongPhone: "This is not a phone number with country code, as +998901234567.",
    wrongCode: "The code is wrong or too old.",
    wait: (seconds) => `That was too often. Wait ${seconds} seconds and try again.`,
    notForStaff: "Accounts of the city's staff cannot be used with apps.",
    expired: "This page is too old or was opened in another browser. Go back to the app and begin again.",
    error: "The app's request is not right. Go back to the app, and tell its makers if it happens again.",
    goBack: "Go back to the app and begin again.",
    lastDigits: (digits) => `the number ending in ${digits}`
  },
  uz: {
    signInTitle: (app, city) => `${app} bilan davom etish uchun ${city} tizimiga kiring`,
    phone: "Telefon raqamingiz",
    phoneHint: "Davlat kodi bilan, masalan +998901234567",
    sendCode: "Kod yuborish",
    codeTitle: "Kodni kiriting",
    codeSent: (phone) => `Oxiri ${phone} bo‘lgan raqamga olti xonali kod yubordik. U to‘rt daqiqa amal qiladi.`,
    code: "Kod",
    signIn: "Kirish",
    otherPhone: "Boshqa raqam",
    factorTitle: "Ikkinchi omilni ko‘rsating",
    factorHint: "Autentifikator ilovangizdagi olti raqam yoki zaxira kodlaringizdan biri.",
    recoveryHint: "Zaxira kodlaringizdan biri. Bu sahifada kirish kalitidan (passkey) foydalanib bo‘lmaydi.",
    wrongFactor: "Kod noto‘g‘ri yoki avval ishlatilgan. Keyingisini kuting.",
    passkeyOnly:
      "Bu hisob kirish kaliti (passkey) bilan himoyalangan, bu sahifa uni so‘ray olmaydi. Shaharning o‘z ilovasida zaxira kodlari oling yoki autentifikator qo‘shing.",
    consentTitle: (app) => `${app} ruxsat so‘ramoqda`,
    consentWhat: (app) => `${app} nima qila olishini tanlang. Belgilanmagan narsa berilmaydi.`,
    always: "Buning uchun zarur",
    signedInAs: (name) => `Siz ${name} sifatida kirgansiz.`,
    somebodyElse: "Boshqa kishi sifatida kirish",
    allow: "Belgilanganlarga ruxsat berish",
    refuse: "Rad etish",
    goesTo: (host) => `Keyin ${host} saytiga qaytasiz.`,
    takeBack: "Ruxsatni istalgan vaqtda ilovalaringiz ro‘yxatidan qaytarib olishingiz mumkin.",
    website: "Ilova sayti",
    failed: "Bajarilmadi",
    wrongPhone: "Bu davlat kodli telefon raqami emas, masalan +998901234567.",
    wrongCode: "Kod noto‘g‘ri yoki eskirgan.",
    wait: (seconds) => `Juda tez-tez. ${seconds} soniya kutib, qayta urinib ko‘ring.`,
    notForStaff: "Shahar xodimlarining hisobini ilovalar bilan ishlatib bo‘lmaydi.",
    expired: "Sahifa eskirgan yoki boshqa brauzerda ochilgan. Ilovaga qaytib, boshidan boshlang.",
    error: "Ilova so‘rovi noto‘g‘ri. Ilovaga qayting; takrorlansa, uni yaratganlarga ayting.",
    goBack: "Ilovaga qaytib, boshidan boshlang.",
    lastDigits: (digits) => `oxiri ${digits} bo‘lgan raqam`
  },
  ru: {
    signInTitle: (app, city) => `Войдите в ${city}, чтобы продолжить с ${app}`,
    phone: "Ваш номер телефона",
    phoneHint: "С кодом страны, например +998901234567",
    sendCode: "Прислать код",
    codeTitle: "Введите код",
    codeSent: (phone) =>
      `Мы отправили код из шести цифр на номер, который кончается на ${phone}. Он действует четыре минуты.`,
    code: "Код",
    signIn: "Войти",
    otherPhone: "Другой номер",
    factorTitle: "Покажите второй фактор",
    factorHint: "Шесть цифр из приложения-аутентификатора или один из кодов восстановления.",
    recoveryHint: "Один из кодов восстановления. Ключ доступа (passkey) на этой странице использовать нельзя.",
    wrongFactor: "Код неверный или уже использован. Подождите следующего.",
    passkeyOnly:
      "Эта учётная запись защищена ключом доступа (passkey), который эта страница запросить не может. Создайте коды восстановления или добавьте приложение-аутентификатор в приложении города.",
    consentTitle: (app) => `${app} просит доступ`,
    consentWhat: (app) => `Выберите, что ${app} может делать. Неотмеченное не даётся.`,
    always: "Без этого нельзя",
    signedInAs: (name) => `Вы вошли как ${name}.`,
    somebodyElse: "Войти как другой человек",
    allow: "Разрешить отмеченное",
    refuse: "Отказать",
    goesTo: (host) => `Затем вы вернётесь на ${host}.`,
    takeBack: "Доступ можно отозвать в любое время в списке ваших приложений.",
    website: "Сайт приложения",
    failed: "Не получилось",
    wrongPhone: "Это не номер телефона с кодом страны, например +998901234567.",
    wrongCode: "Код неверный или устарел.",
    wait: (seconds) => `Слишком часто. Подождите ${seconds} секунд и попробуйте снова.`,
    notForStaff: "Учётные записи сотрудников города нельзя использовать с приложениями.",
    expired: "Страница устарела или открыта в другом браузере. Вернитесь в приложение и начните снова.",
    error: "Запрос приложения неверен. Вернитесь в приложение; если повторится, сообщите его авторам.",
    goBack: "Вернитесь в приложение и начните снова.",
    lastDigits: (digits) => `номер, который кончается на ${digits}`
  }
}

export const textsOf = (language: Language): Texts => texts[language]

/** `wanted`: BCP 47 tags as in `ui_locales` or `Accept-Language`; else the city's first language that we speak. */
export const languageOf = (wanted: string, tenant: Pick<Tenant, "settings">): Language => {
  const asked = wanted.split(/[\s,]+/).map((one) => one.split(";")[0]!.split("-")[0]!.toLowerCase())
  const spoken = tenant.settings.languages.map((one) => one.split("-")[0]!)
  const found = [...asked, ...spoken].find((one) => languages.some((language) => language === one))
  return (found as Language | undefined) ?? "en"
}
