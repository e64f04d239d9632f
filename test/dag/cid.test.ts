import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hasCode } from '../../src/common/errors.ts'
import { parseCid } from '../../src/dag/cid.ts'

/** One CID as `ipfs cid format -b <base>` of Kubo 0.42 writes it. */
const SPELLINGS = {
  base2:
    '0000000010111000000010010001000001100001111000100011100110011111011001000101011111111110100000110110011111001111010011111111101010000111111111100011010111100110100101110110010000101101001100001011100000000000001001011101101110000100101100110100111000011000111011110100101000011100100011010',
  base16: 'f01701220c3c4733ec8affd06cf9e9ff50ffc6bcd2ec85a6170004bb709669c31de94391a',
  base16upper: 'F01701220C3C4733EC8AFFD06CF9E9FF50FFC6BCD2EC85A6170004BB709669C31DE94391A',
  base32: 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi',
  base32upper: 'BAFYBEIGDYRZT5SFP7UDM7HU76UH7Y26NF3EFUYLQABF3OCLGTQY55FBZDI',
  base32pad: 'cafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi======',
  base32padupper: 'CAFYBEIGDYRZT5SFP7UDM7HU76UH7Y26NF3EFUYLQABF3OCLGTQY55FBZDI======',
  base32hex: 'v05o14863ohpjti5fvk3cv7kvuk7voqud5r45kobg015re2b6jgott51p38',
  base32hexupper: 'V05O14863OHPJTI5FVK3CV7KVUK7VOQUD5R45KOBG015RE2B6JGOTT51P38',
  base32hexpad: 't05o14863ohpjti5fvk3cv7kvuk7voqud5r45kobg015re2b6jgott51p38======',
  base32hexpadupper: 'T05O14863OHPJTI5FVK3CV7KVUK7VOQUD5R45KOBG015RE2B6JGOTT51P38======',
  base36: 'k2jmtxw8rjh1z69c6not3wtdxb0u3urbzhyll1t9jg6ox26dhi5sfi1m',
  base36upper: 'K2JMTXW8RJH1Z69C6NOT3WTDXB0U3URBZHYLL1T9JG6OX26DHI5SFI1M',
  base58btc: 'zdj7Wic6KcJAfWz1c9o4M6kq9Lwd5BfbxkVafnrojaaGiSFxM',
  base58flickr: 'ZCJ7vHB6jBiaEvZ1B9N4m6KQ9kWC5bEAXKuzEMRNJzzgHrfXm',
  base64: 'mAXASIMPEcz7Ir/0Gz56f9Q/8a80uyFphcABLtwlmnDHelDka',
  base64pad: 'MAXASIMPEcz7Ir/0Gz56f9Q/8a80uyFphcABLtwlmnDHelDka',
  base64url: 'uAXASIMPEcz7Ir_0Gz56f9Q_8a80uyFphcABLtwlmnDHelDka',
  base64urlpad: 'UAXASIMPEcz7Ir_0Gz56f9Q_8a80uyFphcABLtwlmnDHelDka',
  base256emoji: '🚀🪐⭐💻😅❓💎🌈🌸🌚💰💍🌒😵🐶💁🤐🌎👼🙃🙅☺🌚😞🤤⭐🚀😃✈🌕😚🍻💜🐷⚽✌😊',
}

test('a CID is read in every base that Kubo writes, and always told in base32', () => {
  for (const [base, text] of Object.entries(SPELLINGS)) {
    assert.equal(parseCid(text).toString(), SPELLINGS.base32, base)
  }
})

test('text with the prefix of a base and nothing of a CID behind it is refused', () => {
  for (const text of ['0', '0101', 'film', 'FILM', 'message', 'BAFY', 'Z', '🚀', '7002700221', '9279312389']) {
    assert.throws(
      () => parseCid(text),
      (error) => hasCode(error, 'bad-ref'),
      text,
    )
  }
})
