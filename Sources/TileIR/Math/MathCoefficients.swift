// Written by tools/math-coefficients, which says how; not by hand.

/// Coefficients of the vector math's polynomials, lowest power first.
enum MathCoefficients {
  /// (eʳ − 1 − r) / r² on |r| ≤ ln 2 / 2; relative error 2^-26.2.
  static let expm1Rest32: [Double] = [
    0x1.fffffep-2, 0x1.5554b4p-3, 0x1.5556eap-5, 0x1.122b4p-7, 0x1.6c459p-10,
  ]
  /// (eʳ − 1 − r) / r² on |r| ≤ ln 2 / 2; relative error 2^-55.6.
  static let expm1Rest64: [Double] = [
    0x1.0000000000005p-1, 0x1.5555555555559p-3, 0x1.55555555524fcp-5, 0x1.11111111146d1p-7, 0x1.6c16c17dd4012p-10,
    0x1.a01a01854f472p-13, 0x1.a019a9aac000ep-16, 0x1.71de8cfa72f4dp-19, 0x1.28a0fa292eebep-22, 0x1.adf3d720bb793p-26,
  ]
  /// (log(1 + f) − f + f²/2) / f³ on [√½ − 1, √2 − 1]; relative error 2^-27.4.
  static let log1pRest32: [Double] = [
    0x1.555554p-2, -0x1.000226p-2, 0x1.99a04p-3, -0x1.5472bcp-3, 0x1.22d3cap-3, -0x1.0d7704p-3, 0x1.05896cp-3,
    -0x1.398f32p-4,
  ]
  /// (log(1 + f) − f + f²/2) / f³ on [√½ − 1, √2 − 1]; relative error 2^-56.6.
  static let log1pRest64: [Double] = [
    0x1.5555555555533p-2, -0x1.ffffffffff345p-3, 0x1.999999999b6c5p-3, -0x1.5555555689d46p-3, 0x1.249249255b012p-3,
    -0x1.fffffea489e1ep-4, 0x1.c71c714103a89p-4, -0x1.999a0e40a9b17p-4, 0x1.745dbf6f106a5p-4, -0x1.557e5bffe0325p-4,
    0x1.3a17919e727bp-4, -0x1.091823285a44dp-4, 0x1.4b6b854c29ec6p-4, -0x1.3016867a3df14p-2, -0x1.7c756e7ef0a63p-1,
    -0x1.2ac270352807p0, 0x1.fdabd92fc488dp5, -0x1.b851e43a2bc97p7, 0x1.b1c62b615f6d6p7,
  ]
  /// (sin r − r) / r³ by r², |r| ≤ π/4; relative error 2^-28.0.
  static let sinRest32: [Double] = [
    -0x1.555546p-3, 0x1.110776p-7, -0x1.9952dep-13,
  ]
  /// (sin r − r) / r³ by r², |r| ≤ π/4; relative error 2^-57.9.
  static let sinRest64: [Double] = [
    -0x1.5555555555548p-3, 0x1.111111110f732p-7, -0x1.a01a019be9744p-13, 0x1.71de355577357p-19,
    -0x1.ae5e4bc379c5dp-26, 0x1.5d8b6b9457121p-33,
  ]
  /// (cos r − 1 + r²/2) / r⁴ by r², |r| ≤ π/4; relative error 2^-33.3.
  static let cosRest32: [Double] = [
    0x1.55554ap-5, -0x1.6c0c1ap-10, 0x1.99e0fcp-16,
  ]
  /// (cos r − 1 + r²/2) / r⁴ by r², |r| ≤ π/4; relative error 2^-64.2.
  static let cosRest64: [Double] = [
    0x1.555555555554cp-5, -0x1.6c16c16c1520fp-10, 0x1.a01a019cbca8dp-16, -0x1.27e4f81013a25p-22,
    0x1.1ee9ef278a0d8p-29, -0x1.8fafe6c1cced9p-37,
  ]
  /// (tan r − r) / r³ by r², |r| ≤ π/4; relative error 2^-29.5.
  static let tanRest32: [Double] = [
    0x1.55556p-2, 0x1.110d9ap-3, 0x1.badadcp-5, 0x1.5cb2aap-6, 0x1.631fcep-7, 0x1.609bd4p-14, 0x1.1f10c8p-8,
  ]
  /// (tan r − r) / r³ by r², |r| ≤ π/4; relative error 2^-56.2.
  static let tanRest64: [Double] = [
    0x1.55555555554efp-2, 0x1.1111111118621p-3, 0x1.ba1ba1b44337ap-5, 0x1.664f49b00c1c2p-6, 0x1.226e11820eac7p-7,
    0x1.d6d95262e3952p-9, 0x1.7d59e67794b55p-10, 0x1.3806e1e1e2fb4p-11, 0x1.d1dec580a3d59p-13, 0x1.1f56e28933823p-13,
    -0x1.c64fa50b1f25cp-16, 0x1.79e05f6569de5p-14, -0x1.7b5e15321618bp-15, 0x1.5f6fd5843d2eap-16,
  ]
  /// (asin x − x) / x³ by x², |x| ≤ ½; relative error 2^-27.6.
  static let asinRest32: [Double] = [
    0x1.5555c8p-3, 0x1.3301fcp-4, 0x1.747d1cp-5, 0x1.8c2c4ap-6, 0x1.596e6ap-5,
  ]
  /// (asin x − x) / x³ by x², |x| ≤ ½; relative error 2^-59.9.
  static let asinRest64: [Double] = [
    0x1.5555555555577p-3, 0x1.333333332e107p-4, 0x1.6db6db721591ap-5, 0x1.f1c71a936dd8fp-6, 0x1.6e8bdf12b04e3p-6,
    0x1.1c49ec5e3bbb8p-6, 0x1.ca1ff6cd1e38dp-7, 0x1.7581e559e700ep-7, 0x1.61525b1946939p-7, 0x1.e498b7d7e0dfdp-9,
    0x1.640bf8973cedep-6, -0x1.58a27b3245c6ap-6, 0x1.0b7c6f51a5104p-5,
  ]
  /// (atan x − x) / x³ by x², |x| ≤ 1; relative error 2^-28.5.
  static let atanRest32: [Double] = [
    -0x1.55553ep-2, 0x1.9991e4p-3, -0x1.242082p-3, 0x1.c08be6p-4, -0x1.58071p-4, 0x1.da1fb8p-5, -0x1.fd624cp-6,
    0x1.63fedep-7, -0x1.d30744p-10,
  ]
  /// (atan x − x) / x³ by x², |x| ≤ 1; relative error 2^-57.6.
  static let atanRest64: [Double] = [
    -0x1.5555555555526p-2, 0x1.99999999955bp-3, -0x1.249249237f432p-3, 0x1.c71c717fca378p-4, -0x1.745d11ae17dc2p-4,
    0x1.3b1366961d3b7p-4, -0x1.110e510814f1p-4, 0x1.e1bba515ef8b4p-5, -0x1.ae5e6d21271fp-5, 0x1.82dac4f7877e7p-5,
    -0x1.59a3cd570d797p-5, 0x1.2c2df0b596ecp-5, -0x1.e9f89322cad9fp-6, 0x1.683abb068b21dp-6, -0x1.c78b5ad04a3a3p-7,
    0x1.d7b1e35b671ffp-8, -0x1.7a30fa268e467p-9, 0x1.b3ecccfa93eeep-11, -0x1.3f28765d0f0aap-13, 0x1.bbd47d1cd44a4p-17,
  ]
  /// (sinh x − x) / x³ by x², |x| ≤ 1; relative error 2^-34.2.
  static let sinhRest32: [Double] = [
    0x1.555556p-3, 0x1.1110ep-7, 0x1.a022bcp-13, 0x1.756c1ap-19,
  ]
  /// (sinh x − x) / x³ by x², |x| ≤ 1; relative error 2^-63.3.
  static let sinhRest64: [Double] = [
    0x1.5555555555556p-3, 0x1.111111111101ep-7, 0x1.a01a01a03729dp-13, 0x1.71de3a3b007d5p-19, 0x1.ae646ffd64b05p-26,
    0x1.6116eff7d4c15p-33, 0x1.b5ca71a2a2064p-41,
  ]
  /// erf(x) / x − 1 by x², |x| ≤ 1; relative error 2^-24.6.
  static let erfRest32: [Double] = [
    0x1.06eba2p-3, -0x1.812672p-2, 0x1.ce08fap-4, -0x1.b5a098p-6, 0x1.423b54p-8, -0x1.271d8ep-11,
  ]
  /// erf(x) / x − 1 by x², |x| ≤ 1; relative error 2^-56.9.
  static let erfRest64: [Double] = [
    0x1.06eba8214db68p-3, -0x1.812746b03799dp-2, 0x1.ce2f21a03f89fp-4, -0x1.b82ce311a888fp-6, 0x1.565bcceea5b25p-8,
    -0x1.c02daeaba4252p-11, 0x1.f9a2954b34837p-14, -0x1.f4c813b699428p-17, 0x1.b96a1050c60bcp-20,
    -0x1.5b832a3e752dp-23, 0x1.d393639bca7a4p-27, -0x1.a1411b25c09e6p-31,
  ]
  /// −log(erfc(a)) on 1 ≤ a ≤ 4, weighted by erfc(a); relative error 2^-29.9.
  static let erfc32: [Double] = [
    0x1.74082ap-12, 0x1.208566p0, 0x1.46c68ap-1, 0x1.a6032ap-4, -0x1.6533a6p-6, 0x1.812f36p-9, -0x1.84fc28p-13,
  ]
  /// −log(erfc(a)) on 1 ≤ a ≤ 6, weighted by erfc(a); relative error 2^-59.5.
  static let erfc64: [Double] = [
    0x1.8c060213c1c64p-23, 0x1.20dd5564230d7p0, 0x1.45f43299dc922p-1, 0x1.a4d9a887ef40fp-4, -0x1.388e813e4a95bp-6,
    -0x1.27f4c6c26d65dp-12, 0x1.d03e2c7f8cd5bp-10, -0x1.510a3f0fa7f3ep-11, 0x1.819fb9c131949p-15,
    0x1.248536a70206bp-14, -0x1.778685f014797p-15, 0x1.137bacac3e1b5p-16, -0x1.20a8ddb35a981p-18,
    0x1.c5b5305d63138p-21, -0x1.0c091b0ec8b38p-23, 0x1.d08b2696cee21p-27, -0x1.17820f167a802p-30,
    0x1.a1dd22ba3eb9bp-35, -0x1.2461a0a66eb5cp-40,
  ]
  /// log₂((1 + s) / (1 − s)) / s by s², √½ ≤ (1 + s) / (1 − s) ≤ √2; relative error 2^-50.8.
  static let log2Power: [Double] = [
    0x1.71547652b82ffp1, 0x1.ec709dc39ccebp-1, 0x1.2776c516788e2p-1, 0x1.a61756a12a81ep-2, 0x1.484fa34f5407ep-2,
    0x1.0bb8a0fb9b3acp-2, 0x1.f173331078f5dp-3,
  ]
  /// 2ʳ on |r| ≤ ½; relative error 2^-40.2.
  static let exp2Power: [Double] = [
    0x1.ffffffffff77p-1, 0x1.62e42fef895b1p-1, 0x1.ebfbdff8b4a05p-3, 0x1.c6b08dc63c65bp-5, 0x1.3b2ab75eaec0cp-7,
    0x1.5d8760ad0bbebp-10, 0x1.4307b3bf476e3p-13, 0x1.00c6c9d713423p-16, 0x1.64a328a345645p-20,
  ]
  /// (log((1 + s) / (1 − s)) / s − 2 − ⅔ s²) / s⁴ by s², as log2Power; relative error 2^-65.9.
  static let logPowerRest: [Double] = [
    0x1.9999999999999p-2, 0x1.24924924927b4p-2, 0x1.c71c71c67bc67p-3, 0x1.745d17bd99747p-3, 0x1.3b1380c8e66dp-3,
    0x1.111c581e79b46p-3, 0x1.dede90613dce5p-4, 0x1.e5b0d4e7b3eafp-4,
  ]
}
