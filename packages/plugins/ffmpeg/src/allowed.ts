/**
 * What ffmpeg may open. It knows hundreds of formats, among them playlists, capture devices and decoders nobody has tended for years;
 * a hostile file picks the weakest. Ours are the ones that phones, dash cameras and browsers make.
 */

/** Decoders of pictures and sound, under every name that builds of ffmpeg give them. */
export const codecs = [
  "h264,hevc,vp8,vp9,libvpx,libvpx-vp9,av1,libdav1d,libaom-av1,mpeg4,h263,mpeg1video,mpeg2video,msmpeg4v2,msmpeg4",
  "wmv1,wmv2,wmv3,vc1,theora,dvvideo,prores,mjpeg,png,bmp,gif,webp,rawvideo",
  "aac,aac_latm,mp1,mp1float,mp2,mp2float,mp3,mp3float,ac3,eac3,opus,libopus,vorbis,libvorbis,flac,alac,dca,wmav1,wmav2,wmapro",
  "amrnb,amrwb,libopencore_amrnb,libopencore_amrwb,adpcm_ima_wav,adpcm_ima_qt,adpcm_ms,adpcm_g726,gsm,gsm_ms,nellymoser",
  "pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_u8,pcm_s8,pcm_alaw,pcm_mulaw",
  "pcm_bluray,pcm_dvd,sowt,twos",
  // Never decoded, but ffprobe opens every track and would give up on the whole file.
  "mov_text,subrip,srt,ass,ssa,webvtt,text,dvdsub,dvbsub,pgssub,cc_dec,xsub"
].join(",")

/** Options in front of every input. The demuxer is fixed by us, so that neither the name nor the content of a file chooses it. */
export const inputGuards = (demuxer: string, pixels: number): ReadonlyArray<string> => [
  ...["-protocol_whitelist", "file", "-format_whitelist", demuxer, "-codec_whitelist", codecs],
  ...["-max_pixels", String(pixels)],
  // A QuickTime track may name a file elsewhere on the machine as the place of its samples.
  ...(demuxer === "mov" ? ["-enable_drefs", "0", "-use_absolute_path", "0"] : []),
  ...["-f", demuxer]
]

/** A path that ffmpeg takes for nothing but a path: no protocol, no option. Patterns are not read by any demuxer we allow. */
export const fileUrl = (path: string) => `file:${path}`
