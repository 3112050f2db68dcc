"""Networks with random weights at the width that their users have, and few of their layers: what `architectures.py` names with the
sizes that decide which kernels are chosen, for finding slow ones. For each a function that gives a module and its inputs, by name."""

import diffusers as D
import torch
import torchvision.models as V
import transformers as T
from architectures import Call, Codec, Dec, df, hf, ids, ssdlite, t, tm

# Of timm, with the side of the image that each is made for.
IMAGES = dict(
    botnet26t_256=256, coatnet_0_rw_224=224, convnext_tiny=224, densenet121=224, dla34=224, dm_nfnet_f0=192, edgenext_small=256,
    efficientformer_l1=224, efficientnet_b0=224, eva02_tiny_patch14_224=224, fastvit_t8=256, focalnet_tiny_srf=224,
    gcvit_xxtiny=224, ghostnet_100=224, hiera_tiny_224=224, hrnet_w18_small=224, inception_next_tiny=224, inception_v3=299,
    levit_128s=224, mambaout_tiny=224, maxvit_rmlp_pico_rw_256=256, mixer_s16_224=224, mobilenetv3_large_100=224,
    mobilenetv4_conv_medium=224, mobilevit_s=256, nf_resnet50=224, poolformer_s12=224, pvt_v2_b1=224, regnety_008=224, repvgg_a1=224,
    res2net50_26w_4s=224, resnext50_32x4d=224, starnet_s3=224, swin_tiny_patch4_window7_224=224, tf_efficientnetv2_s=288,
    vit_small_patch16_224=224, xcit_tiny_12_p16_224=224,
)

ARCHITECTURES = {name: lambda name=name, side=side: tm(name, s=side) for name, side in IMAGES.items()}


def arch(function):
    ARCHITECTURES[function.__name__] = function
    return function


def mask(*shape):
    return torch.ones(*shape, dtype=torch.long)


# ---- images and video
@arch
def deeplab_r50():
    network = V.segmentation.deeplabv3_resnet50(weights=None, weights_backbone=None).eval()
    return Call(network, ["x"], lambda o: o["out"]), dict(x=t(1, 3, 257, 257))


@arch
def raft():
    network = V.optical_flow.raft_small(weights=None).eval()
    inputs = dict(image1=t(1, 3, 256, 320), image2=t(1, 3, 256, 320))
    return Call(network, list(inputs), lambda o: o[-1], num_flow_updates=4), inputs


@arch
def r3d():
    return Call(V.video.r3d_18(weights=None).eval(), ["x"]), dict(x=t(1, 3, 16, 112, 112))


@arch
def s3d():
    return Call(V.video.s3d(weights=None).eval(), ["x"]), dict(x=t(1, 3, 16, 224, 224))


@arch
def shufflenet():
    return Call(V.shufflenet_v2_x1_0(weights=None).eval(), ["x"]), dict(x=t(1, 3, 224, 224))


@arch
def googlenet():
    network = V.googlenet(weights=None, aux_logits=False, init_weights=False).eval()
    return Call(network, ["x"]), dict(x=t(1, 3, 224, 224))


ARCHITECTURES["ssdlite"] = ssdlite


@arch
def segformer():
    return hf(T.SegformerForSemanticSegmentation, T.SegformerConfig(), dict(pixel_values=t(1, 3, 256, 256)))


@arch
def swin2sr():
    config = T.Swin2SRConfig(
        depths=[2, 2], num_heads=[6, 6], embed_dim=180, window_size=8, upscale=4, upsampler="pixelshuffle"
    )
    return hf(T.Swin2SRForImageSuperResolution, config, dict(pixel_values=t(1, 3, 64, 64)))


@arch
def sam_vision():
    config = T.SamVisionConfig(num_hidden_layers=3, global_attn_indexes=[2])
    return hf(T.SamVisionModel, config, dict(pixel_values=t(1, 3, 1024, 1024)))


# ---- sound
@arch
def hifigan():
    return hf(T.SpeechT5HifiGan, T.SpeechT5HifiGanConfig(), dict(spectrogram=t(100, 80)))


@arch
def encodec():
    return Codec(T.EncodecModel(T.EncodecConfig()).eval()), dict(x=t(1, 1, 24000))


@arch
def dac_decoder():
    return T.DacModel(T.DacConfig()).eval().decoder, dict(x=t(1, 1024, 40))


@arch
def oobleck():
    return Dec(
        D.AutoencoderOobleck(
            encoder_hidden_size=64,
            decoder_channels=64,
            decoder_input_channels=64,
            downsampling_ratios=[2, 4, 4, 8],
            channel_multiples=[1, 2, 4, 8],
        ).eval()
    ), dict(z=t(1, 64, 40))


@arch
def wav2vec2():
    return hf(T.Wav2Vec2Model, T.Wav2Vec2Config(num_hidden_layers=3), dict(input_values=t(1, 32000)))


@arch
def conformer():
    config = T.Wav2Vec2ConformerConfig(
        num_hidden_layers=3,
        position_embeddings_type="relative",
        hidden_size=512,
        num_attention_heads=8,
        intermediate_size=2048,
    )
    return hf(T.Wav2Vec2ConformerModel, config, dict(input_values=t(1, 32000)))


@arch
def ast():
    return hf(T.ASTModel, T.ASTConfig(num_hidden_layers=2), dict(input_values=t(1, 1024, 128)))


@arch
def clap():
    return hf(T.ClapAudioModel, T.ClapAudioConfig(), dict(input_features=t(1, 1, 1001, 64)))


@arch
def lstm_crnn():
    def block(inputs, outputs, pool):
        return [torch.nn.Conv2d(inputs, outputs, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(pool)]

    class W(torch.nn.Module):
        def __init__(s):
            super().__init__()
            s.c = torch.nn.Sequential(*block(1, 64, 2), *block(64, 128, 2), *block(128, 256, (2, 1)), *block(256, 512, (4, 1)))
            s.l = torch.nn.LSTM(512, 256, 2, bidirectional=True, batch_first=True)
            s.o = torch.nn.Linear(512, 97)

        def forward(s, x):
            return s.o(s.l(s.c(x).squeeze(2).permute(0, 2, 1))[0]).log_softmax(-1)

    return W().eval(), dict(x=t(1, 1, 32, 400))


# ---- text
@arch
def bert():
    config = T.BertConfig(num_hidden_layers=3)
    return hf(T.BertModel, config, dict(input_ids=ids(1000, 1, 128), attention_mask=mask(1, 128)))


@arch
def deberta():
    config = T.DebertaV2Config(
        vocab_size=1000,
        num_hidden_layers=2,
        hidden_size=768,
        num_attention_heads=12,
        intermediate_size=3072,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        max_relative_positions=256,
        position_buckets=256,
    )
    return hf(T.DebertaV2Model, config, dict(input_ids=ids(1000, 1, 64), attention_mask=mask(1, 64)))


@arch
def t5_encoder():
    config = T.T5Config(
        vocab_size=1000, d_model=1024, d_kv=64, d_ff=2816, num_layers=3, num_heads=16, feed_forward_proj="gated-gelu"
    )
    return hf(T.T5EncoderModel, config, dict(input_ids=ids(1000, 1, 128), attention_mask=mask(1, 128)))


@arch
def mamba():
    config = T.MambaConfig(vocab_size=1000, hidden_size=512, num_hidden_layers=2)
    return hf(T.MambaModel, config, dict(input_ids=ids(1000, 1, 64)), use_cache=False)


# ---- diffusion
@arch
def unet_sdxl():
    return df(
        D.UNet2DConditionModel,
        dict(sample=t(1, 4, 32, 32), timestep=torch.tensor([10]), encoder_hidden_states=t(1, 77, 1024)),
        sample_size=32,
        block_out_channels=(160, 320, 640),
        layers_per_block=1,
        cross_attention_dim=1024,
        attention_head_dim=(3, 5, 10),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        use_linear_projection=True,
        transformer_layers_per_block=(1, 2, 2),
    )


@arch
def svd_unet():
    return df(
        D.UNetSpatioTemporalConditionModel,
        dict(
            sample=t(1, 4, 8, 32, 32),
            timestep=torch.tensor([10.0]),
            encoder_hidden_states=t(1, 1, 256),
            added_time_ids=t(1, 3),
        ),
        block_out_channels=(128, 256),
        layers_per_block=1,
        cross_attention_dim=256,
        num_attention_heads=(2, 4),
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        projection_class_embeddings_input_dim=768,
        addition_time_embed_dim=256,
        transformer_layers_per_block=1,
    )


@arch
def sd3():
    return df(
        D.SD3Transformer2DModel,
        dict(
            hidden_states=t(1, 16, 32, 32),
            encoder_hidden_states=t(1, 154, 1024),
            pooled_projections=t(1, 512),
            timestep=torch.tensor([10.0]),
        ),
        sample_size=32,
        patch_size=2,
        in_channels=16,
        out_channels=16,
        num_layers=2,
        attention_head_dim=64,
        num_attention_heads=16,
        joint_attention_dim=1024,
        caption_projection_dim=1024,
        pooled_projection_dim=512,
        pos_embed_max_size=96,
    )


@arch
def pixart():
    return df(
        D.PixArtTransformer2DModel,
        dict(hidden_states=t(1, 4, 64, 64), encoder_hidden_states=t(1, 120, 1024), timestep=torch.tensor([10])),
        call=dict(added_cond_kwargs={"resolution": None, "aspect_ratio": None}),
        sample_size=64,
        num_layers=2,
        attention_head_dim=72,
        num_attention_heads=16,
        cross_attention_dim=1152,
        caption_channels=1024,
        use_additional_conditions=False,
    )


@arch
def cogvideox():
    return df(
        D.CogVideoXTransformer3DModel,
        dict(
            hidden_states=t(1, 3, 16, 32, 32), encoder_hidden_states=t(1, 226, 1024), timestep=torch.tensor([10])
        ),
        num_attention_heads=16,
        attention_head_dim=64,
        in_channels=16,
        out_channels=16,
        time_embed_dim=512,
        text_embed_dim=1024,
        num_layers=2,
        sample_width=32,
        sample_height=32,
        sample_frames=9,
        max_text_seq_length=226,
    )


@arch
def sana():
    return df(
        D.SanaTransformer2DModel,
        dict(hidden_states=t(1, 32, 32, 32), encoder_hidden_states=t(1, 300, 1024), timestep=torch.tensor([10])),
        in_channels=32,
        out_channels=32,
        num_attention_heads=36,
        attention_head_dim=32,
        num_layers=2,
        num_cross_attention_heads=16,
        cross_attention_head_dim=72,
        cross_attention_dim=1152,
        caption_channels=1024,
        sample_size=32,
        patch_size=1,
    )


@arch
def stable_audio():
    return df(
        D.StableAudioDiTModel,
        dict(
            hidden_states=t(1, 64, 512),
            timestep=torch.tensor([10.0]),
            encoder_hidden_states=t(1, 130, 768),
            global_hidden_states=t(1, 1, 1536),
        ),
        sample_size=512,
        in_channels=64,
        out_channels=64,
        num_layers=2,
        attention_head_dim=64,
        num_attention_heads=24,
        num_key_value_attention_heads=12,
        cross_attention_dim=768,
        cross_attention_input_dim=768,
        time_proj_dim=256,
        global_states_input_dim=1536,
    )


@arch
def taesd():
    return Dec(D.AutoencoderTiny().eval()), dict(z=t(1, 4, 32, 32))
