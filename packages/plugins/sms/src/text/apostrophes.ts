/**
 * The letters oʻ and gʻ and the sign ʼ of the Uzbek alphabet, written with the plain apostrophe: such a text costs one message where it
 * would cost three.
 */
export const plainApostrophes = (text: string): string =>
  text.replaceAll(/[\u02bb\u02bc\u2018\u2019\u0060\u00b4]/g, "'")
