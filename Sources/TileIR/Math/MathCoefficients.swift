// Written by tools/math-coefficients, which says how; not by hand.

/// Coefficients of the vector math's polynomials, lowest power first.
enum MathCoefficients {
  /// (eʳ − 1 − r) / r² on |r| ≤ ln 2 / 2; relative error 2^-26.2.
  static let expm1Rest32: [Double] = [
    0x1.fffffep-2, 0x1.5554b4p-3, 0x1.5556eap-5, 0x1.122b4p-7, 0x1.6c459p-10,
  ]
  /// (eʳ − 1 − r) / r² on |r| ≤ ln 2 / 2; relative error 2^-55.6.
  static let expm1Rest64: [Double] = [
    0x1.0000000000005p-1, 0x1.5555555555539p-3, 0x1.5555555552262p-5, 0x1.1111111119112p-7, 0x1.6c16c17ef3ffep-10,
    0x1.a01a0174bd176p-13, 0x1.a019a720cd96dp-16, 0x1.71de887660c7ep-19, 0x1.28a23268b1e19p-22, 0x1.ae6b86315013bp-26,
  ]
  /// (2ʳ − 1) / r on |r| ≤ ½; relative error 2^-23.4.
  static let exp2Rest32: [Double] = [
    0x1.62e42ap-1, 0x1.ebf9bap-3, 0x1.c6b61cp-5, 0x1.3ceb76p-7, 0x1.5c4be2p-10,
  ]
  /// (2ʳ − 1) / r on |r| ≤ ½; relative error 2^-58.0.
  static let exp2Rest64: [Double] = [
    0x1.62e42fefa39efp-1, 0x1.ebfbdff82c5a4p-3, 0x1.c6b08d7049fe6p-5, 0x1.3b2ab6fba0085p-7, 0x1.5d87fe78cdc4ep-10,
    0x1.4309130ef94cap-13, 0x1.ffcbfba84a64cp-17, 0x1.62bfc7455f531p-20, 0x1.b5267e7fba448p-24, 0x1.e61bf13b7bbaap-28,
    0x1.e79a9701d81a1p-32,
  ]
  /// (log(1 + f) − f + f²/2) / f³ on [√½ − 1, √2 − 1]; relative error 2^-27.3.
  static let log1pRest32: [Double] = [
    0x1.555554p-2, -0x1.00022cp-2, 0x1.99a04ep-3, -0x1.5470fap-3, 0x1.22d084p-3, -0x1.0d8236p-3, 0x1.05ae9ep-3,
    -0x1.39d204p-4,
  ]
  /// (log(1 + f) − f + f²/2) / f³ on [√½ − 1, √2 − 1]; relative error 2^-56.6.
  static let log1pRest64: [Double] = [
    0x1.5555555555533p-2, -0x1.fffffffffee9bp-3, 0x1.999999999f7c1p-3, -0x1.55555556722c6p-3, 0x1.24924922a9c5fp-3,
    -0x1.ffffff2762d76p-4, 0x1.c71c71d7f07c9p-4, -0x1.9999c325cc909p-4, 0x1.745d40f5d1ad9p-4, -0x1.5550ded505a2bp-4,
    0x1.3b0b54f148e7fp-4, -0x1.24d7f6430558ap-4, 0x1.11d004e0b0c13p-4, -0x1.fb9d4c8598f63p-5, 0x1.d02df35d25fe6p-5,
    -0x1.d1025c15a5119p-5, 0x1.0a9d9d1186a3cp-4, -0x1.ead5502186697p-5, 0x1.ad2f577dcae6p-6,
  ]
  /// (sin r − r) / r³ by r², |r| ≤ π/4; relative error 2^-28.0.
  static let sinRest32: [Double] = [
    -0x1.555546p-3, 0x1.110776p-7, -0x1.9952dep-13,
  ]
  /// (sin r − r) / r³ by r², |r| ≤ π/4; relative error 2^-57.9.
  static let sinRest64: [Double] = [
    -0x1.5555555555548p-3, 0x1.111111110f791p-7, -0x1.a01a019bf5d2cp-13, 0x1.71de35609623cp-19,
    -0x1.ae5e54bb3a757p-26, 0x1.5d8e13dd378dp-33,
  ]
  /// (cos r − 1 + r²/2) / r⁴ by r², |r| ≤ π/4; relative error 2^-33.3.
  static let cosRest32: [Double] = [
    0x1.55554ap-5, -0x1.6c0c1ap-10, 0x1.99e0fcp-16,
  ]
  /// (cos r − 1 + r²/2) / r⁴ by r², |r| ≤ π/4; relative error 2^-64.2.
  static let cosRest64: [Double] = [
    0x1.555555555554cp-5, -0x1.6c16c16c1514p-10, 0x1.a01a019cab645p-16, -0x1.27e4f805269c2p-22, 0x1.1ee9e8875484p-29,
    -0x1.8faccc7af4e3p-37,
  ]
  /// (tan r − r) / r³ by r², |r| ≤ π/4; relative error 2^-29.5.
  static let tanRest32: [Double] = [
    0x1.55556p-2, 0x1.110d9ap-3, 0x1.badadcp-5, 0x1.5cb2aap-6, 0x1.631fcep-7, 0x1.609bd4p-14, 0x1.1f10c8p-8,
  ]
  /// (tan r − r) / r³ by r², |r| ≤ π/4; relative error 2^-56.2.
  static let tanRest64: [Double] = [
    0x1.55555555554efp-2, 0x1.111111111866ep-3, 0x1.ba1ba1b441397p-5, 0x1.664f49b03e2f3p-6, 0x1.226e117fbb11bp-7,
    0x1.d6d95269e6904p-9, 0x1.7d59e8ad57257p-10, 0x1.3806bfe739798p-11, 0x1.d1e0dc72e5fcbp-13, 0x1.1f51c2c484043p-13,
    -0x1.c60eb0a863dabp-16, 0x1.79d024ee77e66p-14, -0x1.7b4b6d962668dp-15, 0x1.5f666a718d55dp-16,
  ]
  /// (asin x − x) / x³ by x², |x| ≤ ½; relative error 2^-27.6.
  static let asinRest32: [Double] = [
    0x1.5555c8p-3, 0x1.3301fcp-4, 0x1.747d1cp-5, 0x1.8c2c4ap-6, 0x1.596e6ap-5,
  ]
  /// (asin x − x) / x³ by x², |x| ≤ ½; relative error 2^-59.9.
  static let asinRest64: [Double] = [
    0x1.5555555555577p-3, 0x1.333333332e07fp-4, 0x1.6db6db721a6f1p-5, 0x1.f1c71a91f62a1p-6, 0x1.6e8bdf34ce0fp-6,
    0x1.1c49ea5e9820fp-6, 0x1.ca201ef9608b9p-7, 0x1.7580d200a3f26p-7, 0x1.615761d5f53a9p-7, 0x1.e459f066298c8p-9,
    0x1.641b8d35dff86p-6, -0x1.58b422e88383ep-6, 0x1.0b80bbe3a3cf5p-5,
  ]
  /// (atan x − x) / x³ by x², |x| ≤ 1; relative error 2^-28.5.
  static let atanRest32: [Double] = [
    -0x1.55553ep-2, 0x1.9991e4p-3, -0x1.242082p-3, 0x1.c08be6p-4, -0x1.58071p-4, 0x1.da1fb8p-5, -0x1.fd624cp-6,
    0x1.63fedep-7, -0x1.d30744p-10,
  ]
  /// (atan x − x) / x³ by x², |x| ≤ 1; relative error 2^-57.6.
  static let atanRest64: [Double] = [
    -0x1.5555555555526p-2, 0x1.9999999995555p-3, -0x1.249249237e4d2p-3, 0x1.c71c717f9ce8dp-4, -0x1.745d11ab76fadp-4,
    0x1.3b13667b7915ep-4, -0x1.110e504649116p-4, 0x1.e1bb9ceb907ecp-5, -0x1.ae5e4bc965542p-5, 0x1.82da5c829d554p-5,
    -0x1.59a2d05f5e7dfp-5, 0x1.2c2c15d28a4b3p-5, -0x1.e9f32fb7912a5p-6, 0x1.6834b859560f3p-6, -0x1.c78133855e1ddp-7,
    0x1.d7a534c862eaap-8, -0x1.7a25b740eaf2bp-9, 0x1.b3df807262162p-11, -0x1.3f1f43a61d482p-13, 0x1.bbc992f540f24p-17,
  ]
  /// (sinh x − x) / x³ by x², |x| ≤ 1; relative error 2^-34.2.
  static let sinhRest32: [Double] = [
    0x1.555556p-3, 0x1.1110ep-7, 0x1.a022bcp-13, 0x1.756c1ap-19,
  ]
  /// (sinh x − x) / x³ by x², |x| ≤ 1; relative error 2^-63.3.
  static let sinhRest64: [Double] = [
    0x1.5555555555556p-3, 0x1.11111111110a6p-7, 0x1.a01a01a028998p-13, 0x1.71de3a465b37cp-19, 0x1.ae64671b14679p-26,
    0x1.611a561ccf7eep-33, 0x1.b4c75b04aa5cbp-41,
  ]
  /// erf(x) / x − 1 by x², |x| ≤ 1; relative error 2^-24.6.
  static let erfRest32: [Double] = [
    0x1.06eba2p-3, -0x1.812672p-2, 0x1.ce08fap-4, -0x1.b5a098p-6, 0x1.423b54p-8, -0x1.271d8ep-11,
  ]
  /// erf(x) / x − 1 by x², |x| ≤ 1; relative error 2^-56.9.
  static let erfRest64: [Double] = [
    0x1.06eba8214db68p-3, -0x1.812746b0379bdp-2, 0x1.ce2f21a040d13p-4, -0x1.b82ce311fa8a4p-6, 0x1.565bccf92a172p-8,
    -0x1.c02db03db1c41p-11, 0x1.f9a2baa5e17a5p-14, -0x1.f4ca4d444d515p-17, 0x1.b97fd25b463a9p-20,
    -0x1.5c071ea57acd8p-23, 0x1.d71adae46d4ecp-27, -0x1.abadbad9958c5p-31,
  ]
  /// −log(erfc(a)) on 1 ≤ a ≤ 4, weighted by erfc(a); relative error 2^-29.9.
  static let erfc32: [Double] = [
    0x1.74082ap-12, 0x1.208566p0, 0x1.46c68ap-1, 0x1.a6032ap-4, -0x1.6533a6p-6, 0x1.812f36p-9, -0x1.84fc28p-13,
  ]
  /// −log(erfc(a)) on 1 ≤ a ≤ 6, weighted by erfc(a); relative error 2^-59.5.
  static let erfc64: [Double] = [
    0x1.8c060213c1c64p-23, 0x1.20dd5564433fep0, 0x1.45f4329789801p-1, 0x1.a4d9a8d7be448p-4, -0x1.388e848b16699p-6,
    -0x1.27f344dc2310bp-12, 0x1.d03dab5899905p-10, -0x1.510938b6d1ae8p-11, 0x1.8192d1ae0730dp-15,
    0x1.2489332d885e2p-14, -0x1.778a6966cd26p-15, 0x1.137eabae7ca74p-16, -0x1.20ac7ea36097bp-18,
    0x1.c5bc04a4a9125p-21, -0x1.0c0dffe5737ecp-23, 0x1.d0957b6b61525p-27, -0x1.1789a3d87de5fp-30,
    0x1.a1eaf98214adp-35, -0x1.246d7b5a66478p-40,
  ]
  /// log₂((1 + s) / (1 − s)) / s by s², √½ ≤ (1 + s) / (1 − s) ≤ √2; relative error 2^-50.8.
  static let log2Power: [Double] = [
    0x1.71547652b82ffp1, 0x1.ec709dc39c982p-1, 0x1.2776c516b3174p-1, 0x1.a617566b7cf6ep-2, 0x1.484faf4097ff1p-2,
    0x1.0bb75af59c4d4p-2, 0x1.f18decb8e9e52p-3,
  ]
  /// 2ʳ on |r| ≤ ½; relative error 2^-40.2.
  static let exp2Power: [Double] = [
    0x1.ffffffffff77p-1, 0x1.62e42fef859efp-1, 0x1.ebfbdff936152p-3, 0x1.c6b08dd59f31p-5, 0x1.3b2ab5c156726p-7,
    0x1.5d8746c56bc73p-10, 0x1.430ad01db3075p-13, 0x1.00dbcadeeb343p-16, 0x1.61aee27f27e46p-20,
  ]
  /// (log((1 + s) / (1 − s)) / s − 2 − ⅔ s²) / s⁴ by s², as log2Power; relative error 2^-65.9.
  static let logPowerRest: [Double] = [
    0x1.9999999999999p-2, 0x1.249249249289p-2, 0x1.c71c71c66171p-3, 0x1.745d17ca26f26p-3, 0x1.3b137d7c5c6a2p-3,
    0x1.111cd49f8467bp-3, 0x1.decb4281296f7p-4, 0x1.e64dafa0b7398p-4,
  ]
}
