/** Uploads a file with the reference tus client, as an app would. */
import { createReadStream, statSync } from "node:fs"
import { basename } from "node:path"
import { Upload } from "tus-js-client"

const types: Readonly<Record<string, string>> = {
  mp4: "video/mp4",
  mov: "video/quicktime",
  webm: "video/webm",
  mkv: "video/x-matroska",
  avi: "video/x-msvideo",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  png: "image/png",
  webp: "image/webp",
  heic: "image/heic"
}

/** The upload's last path segment: what a report names its attachment by. */
export const uploadFile = (
  base: string,
  tenant: string,
  token: string,
  file: string,
  onProgress: (done: number, total: number) => void
): Promise<string> =>
  new Promise((resolve, reject) => {
    const upload = new Upload(createReadStream(file), {
      endpoint: `${base}/t/${tenant}/v1/uploads`,
      uploadSize: statSync(file).size,
      chunkSize: 5 * 1024 * 1024,
      retryDelays: [0, 500, 1000, 3000],
      headers: { authorization: `Bearer ${token}` },
      metadata: {
        filename: basename(file),
        filetype: types[file.split(".").at(-1)?.toLowerCase() ?? ""] ?? "application/octet-stream"
      },
      onProgress: (done, total) => onProgress(done, total ?? done),
      onError: reject,
      onSuccess: () => resolve(new URL(upload.url ?? "", base).pathname.split("/").at(-1) ?? "")
    })
    upload.start()
  })
