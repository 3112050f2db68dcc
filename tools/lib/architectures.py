"""Small versions, with random weights, of networks as transformers, diffusers, timm and torchvision build them: for each a
function that gives a module and its inputs, by name. Sizes are small so that a model is exported and verified in seconds; the
graphs are those of the large ones."""

import torch
import timm
import torchvision.models as V
import diffusers as D
import transformers as T

ARCHITECTURES = {}


def arch(function):
    ARCHITECTURES[function.__name__] = function
    return function


def t(*shape):
    return torch.randn(*shape)


def ids(count, *shape):
    return torch.randint(0, count, shape)


class Call(torch.nn.Module):
    def __init__(self, m, names, pick=None, **kw):
        super().__init__()
        self.m = m
        self.names = names
        self.pick = pick
        self.kw = kw

    def forward(self, *a):
        o = self.m(**dict(zip(self.names, a)), **self.kw)
        if self.pick:
            return self.pick(o)
        if torch.is_tensor(o):
            return o
        if hasattr(o, "to_tuple"):
            o = o.to_tuple()
        return tuple(x for x in o if torch.is_tensor(x))


def hf(cls, cfg, inputs, pick=None, **kw):
    m = cls(cfg).eval()
    return Call(m, list(inputs), pick, **kw), inputs


small = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128)


# ---- text
@arch
def bert():
    return hf(
        T.BertModel,
        T.BertConfig(vocab_size=200, **small),
        dict(input_ids=ids(200, 2, 11), attention_mask=torch.ones(2, 11, dtype=torch.long)),
    )


@arch
def t5_encoder():
    return hf(
        T.T5EncoderModel,
        T.T5Config(vocab_size=200, d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu"),
        dict(input_ids=ids(200, 2, 13), attention_mask=torch.ones(2, 13, dtype=torch.long)),
    )


@arch
def umt5_encoder():
    return hf(
        T.UMT5EncoderModel,
        T.UMT5Config(vocab_size=200, d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4),
        dict(input_ids=ids(200, 1, 13), attention_mask=torch.ones(1, 13, dtype=torch.long)),
    )


@arch
def deberta():
    return hf(
        T.DebertaV2Model,
        T.DebertaV2Config(
            vocab_size=200,
            relative_attention=True,
            pos_att_type=["p2c", "c2p"],
            max_relative_positions=16,
            position_buckets=8,
            **small
        ),
        dict(input_ids=ids(200, 1, 12), attention_mask=torch.ones(1, 12, dtype=torch.long)),
    )


@arch
def llama():
    return hf(
        T.LlamaForCausalLM,
        T.LlamaConfig(vocab_size=200, num_key_value_heads=2, **small),
        dict(input_ids=ids(200, 1, 9)),
        use_cache=False,
    )


@arch
def qwen3():
    return hf(
        T.Qwen3ForCausalLM,
        T.Qwen3Config(vocab_size=200, num_key_value_heads=2, head_dim=16, **small),
        dict(input_ids=ids(200, 1, 9)),
        use_cache=False,
    )


@arch
def gemma3():
    return hf(
        T.Gemma3ForCausalLM,
        T.Gemma3TextConfig(vocab_size=200, num_key_value_heads=2, head_dim=16, sliding_window=4, **small),
        dict(input_ids=ids(200, 1, 9)),
        use_cache=False,
    )


@arch
def gpt2():
    return hf(
        T.GPT2LMHeadModel,
        T.GPT2Config(vocab_size=200, n_embd=64, n_layer=2, n_head=4),
        dict(input_ids=ids(200, 1, 9)),
        use_cache=False,
    )


@arch
def phi3():
    return hf(
        T.Phi3ForCausalLM,
        T.Phi3Config(vocab_size=200, num_key_value_heads=2, pad_token_id=0, **small),
        dict(input_ids=ids(200, 1, 9)),
        use_cache=False,
    )


@arch
def mamba():
    return hf(
        T.MambaModel,
        T.MambaConfig(vocab_size=200, hidden_size=32, num_hidden_layers=1, state_size=8),
        dict(input_ids=ids(200, 1, 7)),
        use_cache=False,
    )


@arch
def bart():
    return hf(
        T.BartModel,
        T.BartConfig(
            vocab_size=200,
            d_model=64,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=128,
            decoder_ffn_dim=128,
        ),
        dict(input_ids=ids(200, 1, 9), decoder_input_ids=ids(200, 1, 5)),
        use_cache=False,
    )


# ---- vision
@arch
def clip_vision():
    return hf(T.CLIPVisionModel, T.CLIPVisionConfig(image_size=64, patch_size=16, **small), dict(pixel_values=t(2, 3, 64, 64)))


@arch
def siglip_vision():
    return hf(
        T.SiglipVisionModel, T.SiglipVisionConfig(image_size=64, patch_size=16, **small), dict(pixel_values=t(1, 3, 64, 64))
    )


@arch
def dinov2():
    return hf(
        T.Dinov2Model,
        T.Dinov2Config(image_size=56, patch_size=14, hidden_size=64, num_hidden_layers=2, num_attention_heads=4),
        dict(pixel_values=t(1, 3, 70, 84)),
    )


@arch
def swin():
    return hf(
        T.SwinModel,
        T.SwinConfig(image_size=64, patch_size=4, embed_dim=24, depths=[2, 2], num_heads=[2, 4], window_size=4),
        dict(pixel_values=t(1, 3, 64, 64)),
    )


@arch
def swin2sr():
    return hf(
        T.Swin2SRForImageSuperResolution,
        T.Swin2SRConfig(image_size=32, embed_dim=24, depths=[2, 2], num_heads=[2, 2], window_size=8, upscale=2),
        dict(pixel_values=torch.rand(1, 3, 32, 40)),
    )


@arch
def segformer():
    return hf(
        T.SegformerForSemanticSegmentation,
        T.SegformerConfig(
            hidden_sizes=[16, 32, 48, 64],
            depths=[1, 1, 1, 1],
            num_attention_heads=[1, 2, 3, 4],
            decoder_hidden_size=32,
            num_labels=5,
        ),
        dict(pixel_values=t(1, 3, 64, 96)),
    )


@arch
def depth_anything():
    c = T.DepthAnythingConfig(
        backbone_config=T.Dinov2Config(
            image_size=56,
            patch_size=14,
            hidden_size=64,
            num_hidden_layers=4,
            num_attention_heads=4,
            out_indices=[1, 2, 3, 4],
            reshape_hidden_states=False,
            apply_layernorm=True,
        ),
        reassemble_hidden_size=64,
        patch_size=14,
        neck_hidden_sizes=[16, 32, 48, 64],
        fusion_hidden_size=32,
    )
    return hf(T.DepthAnythingForDepthEstimation, c, dict(pixel_values=t(1, 3, 56, 70)))


@arch
def dpt():
    return hf(
        T.DPTForDepthEstimation,
        T.DPTConfig(
            image_size=64,
            patch_size=16,
            backbone_out_indices=[0, 1, 2, 3],
            neck_hidden_sizes=[16, 32, 48, 64],
            fusion_hidden_size=32,
            is_hybrid=False,
            hidden_size=64,
            num_hidden_layers=4,
            num_attention_heads=4,
            intermediate_size=128,
        ),
        dict(pixel_values=t(1, 3, 64, 64)),
    )


@arch
def yolos():
    return hf(
        T.YolosForObjectDetection,
        T.YolosConfig(image_size=[64, 96], patch_size=16, num_detection_tokens=10, **small),
        dict(pixel_values=t(1, 3, 64, 96)),
    )


@arch
def rtdetr():
    c = T.RTDetrConfig(
        backbone_config=T.RTDetrResNetConfig(
            embedding_size=16,
            hidden_sizes=[16, 32, 48, 64],
            depths=[1, 1, 1, 1],
            layer_type="basic",
            out_features=["stage2", "stage3", "stage4"],
        ),
        encoder_hidden_dim=32,
        encoder_in_channels=[32, 48, 64],
        encoder_ffn_dim=64,
        d_model=32,
        num_queries=20,
        decoder_in_channels=[32, 32, 32],
        decoder_ffn_dim=64,
        decoder_layers=2,
        decoder_attention_heads=4,
        encoder_attention_heads=4,
        num_denoising=0,
    )
    return hf(T.RTDetrForObjectDetection, c, dict(pixel_values=t(1, 3, 96, 96)), lambda o: (o.logits, o.pred_boxes))


@arch
def sam_vision():
    return hf(
        T.SamVisionModel,
        T.SamVisionConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=64,
            patch_size=8,
            window_size=4,
            global_attn_indexes=[1],
            output_channels=16,
            mlp_dim=64,
        ),
        dict(pixel_values=t(1, 3, 64, 64)),
    )


def tm(name, s=64, b=1, **kw):
    m = timm.create_model(name, pretrained=False, **kw).eval()
    return Call(m, ["x"]), dict(x=t(b, 3, s, s))


@arch
def mobilenetv3():
    return tm("mobilenetv3_small_050")


@arch
def efficientnet():
    return tm("efficientnet_b0")


@arch
def convnext():
    return tm("convnext_atto")


@arch
def convnextv2():
    return tm("convnextv2_atto")


@arch
def vit_tiny():
    return tm("vit_tiny_patch16_224", img_size=64)


@arch
def regnet():
    return tm("regnety_002")


@arch
def mobilevit():
    return tm("mobilevit_xxs")


@arch
def maxvit():
    return tm("maxvit_rmlp_pico_rw_256", s=256)


@arch
def densenet():
    return tm("densenet121")


@arch
def inception():
    return tm("inception_v3", s=128)


@arch
def hrnet():
    return tm("hrnet_w18_small")


@arch
def repvgg():
    return tm("repvgg_a0")


@arch
def eva02():
    return tm("eva02_tiny_patch14_224", img_size=56, s=56)


@arch
def edgenext():
    return tm("edgenext_xx_small")


@arch
def xcit():
    return tm("xcit_nano_12_p16_224", s=64)


@arch
def beit():
    return tm("beitv2_base_patch16_224", img_size=64, embed_dim=48, depth=2, num_heads=3)


@arch
def ghostnet():
    return tm("ghostnet_050")


@arch
def nfnet():
    return tm("nf_resnet50")


@arch
def coatnet():
    return tm("coatnet_pico_rw_224", s=224)


@arch
def deeplab():
    return Call(
        V.segmentation.deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None).eval(), ["x"], lambda o: o["out"]
    ), dict(x=t(1, 3, 65, 97))


@arch
def lraspp():
    return Call(
        V.segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None).eval(), ["x"], lambda o: o["out"]
    ), dict(x=t(1, 3, 64, 96))


@arch
def shufflenet():
    return Call(V.shufflenet_v2_x0_5(weights=None).eval(), ["x"]), dict(x=t(2, 3, 64, 64))


@arch
def raft():
    return Call(
        V.optical_flow.raft_small(weights=None).eval(), ["image1", "image2"], lambda o: o[-1], num_flow_updates=2
    ), dict(image1=t(1, 3, 128, 136), image2=t(1, 3, 128, 136))


@arch
def r2plus1d():
    return Call(V.video.r3d_18(weights=None).eval(), ["x"]), dict(x=t(1, 3, 8, 32, 32))


@arch
def s3d():
    return Call(V.video.s3d(weights=None).eval(), ["x"]), dict(x=t(1, 3, 16, 64, 64))


@arch
def mvit():
    return Call(V.video.mvit_v2_s(weights=None).eval(), ["x"]), dict(x=t(1, 3, 16, 224, 224))


@arch
def ssdlite():
    m = V.detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=5).eval()

    class W(torch.nn.Module):
        def __init__(s):
            super().__init__()
            s.m = m

        def forward(s, x):
            f = list(s.m.backbone(x).values())
            h = s.m.head(f)
            return h["cls_logits"], h["bbox_regression"]

    return W(), dict(x=t(1, 3, 320, 320))


# ---- audio
@arch
def wav2vec2():
    return hf(
        T.Wav2Vec2Model,
        T.Wav2Vec2Config(conv_dim=[32] * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, **small),
        dict(input_values=t(1, 4000)),
    )


@arch
def hubert():
    return hf(
        T.HubertModel,
        T.HubertConfig(conv_dim=[32] * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, **small),
        dict(input_values=t(1, 4000)),
    )


class Codec(torch.nn.Module):
    def __init__(s, m):
        super().__init__()
        s.m = m

    def forward(s, x):
        return s.m.decoder(s.m.encoder(x))


@arch
def encodec():
    m = T.EncodecModel(
        T.EncodecConfig(num_filters=8, hidden_size=32, codebook_size=64, codebook_dim=32, upsampling_ratios=[4, 4])
    ).eval()

    return Codec(m), dict(x=t(1, 1, 640))


@arch
def dac():
    m = T.DacModel(
        T.DacConfig(
            encoder_hidden_size=8,
            downsampling_ratios=[2, 4],
            decoder_hidden_size=32,
            n_codebooks=2,
            codebook_size=32,
            codebook_dim=4,
            hidden_size=32,
        )
    ).eval()

    return Codec(m), dict(x=t(1, 1, 320))


@arch
def hifigan():
    return hf(
        T.SpeechT5HifiGan,
        T.SpeechT5HifiGanConfig(
            upsample_initial_channel=32, model_in_dim=20, upsample_rates=[4, 4], upsample_kernel_sizes=[8, 8]
        ),
        dict(spectrogram=t(30, 20)),
    )


@arch
def ast():
    return hf(T.ASTModel, T.ASTConfig(max_length=64, num_mel_bins=32, **small), dict(input_values=t(1, 64, 32)))


@arch
def clap():
    return hf(
        T.ClapAudioModel,
        T.ClapAudioConfig(
            hidden_size=64,
            depths=[1, 1],
            num_attention_heads=[2, 4],
            patch_embeds_hidden_size=32,
            spec_size=64,
            num_mel_bins=16,
            window_size=4,
        ),
        dict(input_features=t(1, 1, 64, 16)),
    )


@arch
def conformer():
    return hf(
        T.Wav2Vec2ConformerModel,
        T.Wav2Vec2ConformerConfig(
            conv_dim=[32] * 7,
            num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=4,
            position_embeddings_type="relative",
            **small
        ),
        dict(input_values=t(1, 4000)),
    )


@arch
def lstm_crnn():
    class W(torch.nn.Module):
        def __init__(s):
            super().__init__()
            s.c = torch.nn.Sequential(
                torch.nn.Conv2d(1, 16, 3, padding=1), torch.nn.BatchNorm2d(16), torch.nn.ReLU(), torch.nn.MaxPool2d(2)
            )
            s.l = torch.nn.LSTM(16 * 8, 32, 2, bidirectional=True, batch_first=True)
            s.g = torch.nn.GRU(64, 24, batch_first=True)
            s.o = torch.nn.Linear(24, 11)

        def forward(s, x):
            y = s.c(x)
            y = y.permute(0, 3, 1, 2).flatten(2)
            y, _ = s.l(y)
            y, h = s.g(y)
            return s.o(y).log_softmax(-1), h

    return W().eval(), dict(x=t(2, 1, 16, 40))


# ---- diffusion
def df(cls, inputs, pick=None, call={}, **cfg):
    return Call(cls(**cfg).eval(), list(inputs), pick or (lambda o: o[0]), return_dict=False, **call), inputs


@arch
def unet_sdxl():
    return df(
        D.UNet2DConditionModel,
        dict(sample=t(1, 4, 16, 16), timestep=torch.tensor([10]), encoder_hidden_states=t(1, 7, 32)),
        call=dict(added_cond_kwargs=None),
        sample_size=16,
        block_out_channels=(32, 64),
        layers_per_block=1,
        cross_attention_dim=32,
        attention_head_dim=(2, 4),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        use_linear_projection=True,
        transformer_layers_per_block=(1, 2),
        norm_num_groups=8,
    )


@arch
def controlnet():
    return df(
        D.ControlNetModel,
        dict(
            sample=t(1, 4, 16, 16),
            timestep=torch.tensor([10]),
            encoder_hidden_states=t(1, 7, 32),
            controlnet_cond=t(1, 3, 128, 128),
        ),
        pick=lambda o: (*o[0], o[1]),
        block_out_channels=(32, 64),
        layers_per_block=1,
        cross_attention_dim=32,
        attention_head_dim=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        norm_num_groups=8,
    )


@arch
def sd3():
    return df(
        D.SD3Transformer2DModel,
        dict(
            hidden_states=t(1, 4, 16, 16),
            encoder_hidden_states=t(1, 7, 32),
            pooled_projections=t(1, 24),
            timestep=torch.tensor([10.0]),
        ),
        sample_size=16,
        patch_size=2,
        in_channels=4,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=4,
        joint_attention_dim=32,
        caption_projection_dim=64,
        pooled_projection_dim=24,
        out_channels=4,
        pos_embed_max_size=16,
    )


@arch
def flux():
    return df(
        D.FluxTransformer2DModel,
        dict(
            hidden_states=t(1, 16, 16),
            encoder_hidden_states=t(1, 7, 32),
            pooled_projections=t(1, 24),
            timestep=torch.tensor([0.5]),
            img_ids=torch.zeros(16, 3),
            txt_ids=torch.zeros(7, 3),
            guidance=torch.tensor([3.5]),
        ),
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=4,
        joint_attention_dim=32,
        pooled_projection_dim=24,
        guidance_embeds=True,
        axes_dims_rope=(4, 6, 6),
    )


@arch
def dit():
    return df(
        D.DiTTransformer2DModel,
        dict(hidden_states=t(1, 4, 16, 16), timestep=torch.tensor([10]), class_labels=torch.tensor([3])),
        sample_size=16,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=4,
        in_channels=4,
        out_channels=8,
        num_embeds_ada_norm=10,
    )


@arch
def pixart():
    return df(
        D.PixArtTransformer2DModel,
        dict(hidden_states=t(1, 4, 16, 16), encoder_hidden_states=t(1, 7, 32), timestep=torch.tensor([10])),
        call=dict(added_cond_kwargs={"resolution": None, "aspect_ratio": None}),
        sample_size=16,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=4,
        cross_attention_dim=64,
        caption_channels=32,
        use_additional_conditions=False,
    )


@arch
def ltx():
    return df(
        D.LTXVideoTransformer3DModel,
        dict(
            hidden_states=t(1, 24, 8),
            encoder_hidden_states=t(1, 7, 32),
            timestep=torch.tensor([10.0]),
            encoder_attention_mask=torch.ones(1, 7),
        ),
        call=dict(num_frames=2, height=3, width=4),
        in_channels=8,
        out_channels=8,
        num_attention_heads=4,
        attention_head_dim=16,
        cross_attention_dim=64,
        num_layers=2,
        caption_channels=32,
    )


@arch
def cogvideox():
    return df(
        D.CogVideoXTransformer3DModel,
        dict(hidden_states=t(1, 2, 4, 8, 8), encoder_hidden_states=t(1, 7, 32), timestep=torch.tensor([10])),
        num_attention_heads=4,
        attention_head_dim=16,
        in_channels=4,
        out_channels=4,
        time_embed_dim=8,
        text_embed_dim=32,
        num_layers=2,
        sample_width=8,
        sample_height=8,
        sample_frames=5,
        max_text_seq_length=7,
    )


@arch
def mochi():
    return df(
        D.MochiTransformer3DModel,
        dict(
            hidden_states=t(1, 4, 2, 8, 8),
            encoder_hidden_states=t(1, 7, 32),
            timestep=torch.tensor([10]),
            encoder_attention_mask=torch.ones(1, 7).bool(),
        ),
        num_attention_heads=2,
        attention_head_dim=16,
        num_layers=2,
        pooled_projection_dim=32,
        in_channels=4,
        text_embed_dim=32,
        time_embed_dim=16,
        max_sequence_length=7,
    )


@arch
def wan_vae():
    m = D.AutoencoderKLWan(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 2],
        num_res_blocks=1,
        temperal_downsample=[True],
        latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
    ).eval()
    return Dec(m), dict(z=t(1, 4, 2, 8, 8))


class Dec(torch.nn.Module):
    def __init__(s, m):
        super().__init__()
        s.m = m

    def forward(s, z):
        return s.m.decode(z, return_dict=False)[0]


class Enc(torch.nn.Module):
    def __init__(s, m):
        super().__init__()
        s.m = m

    def forward(s, x):
        return s.m.encode(x, return_dict=False)[0].parameters


@arch
def cog_vae():
    return Dec(
        D.AutoencoderKLCogVideoX(
            block_out_channels=(16, 16, 32, 32), latent_channels=4, layers_per_block=1, norm_num_groups=4
        ).eval()
    ), dict(z=t(1, 4, 2, 4, 4))


@arch
def ltx_vae():
    return Dec(
        D.AutoencoderKLLTXVideo(
            latent_channels=8,
            block_out_channels=(8, 16, 32, 32),
            decoder_block_out_channels=(8, 16, 32, 32),
            layers_per_block=(1, 1, 1, 1, 1),
            decoder_layers_per_block=(1, 1, 1, 1, 1),
        ).eval()
    ), dict(z=t(1, 8, 2, 4, 4))


@arch
def vae_encoder():
    return Enc(
        D.AutoencoderKL(
            block_out_channels=(16, 32),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            layers_per_block=1,
            norm_num_groups=4,
        ).eval()
    ), dict(x=t(1, 3, 32, 40))


@arch
def taesd():
    return Dec(D.AutoencoderTiny().eval()), dict(z=t(1, 4, 8, 8))


@arch
def vq():
    return Call(
        D.VQModel(
            block_out_channels=(16, 32),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            layers_per_block=1,
            norm_num_groups=4,
            num_vq_embeddings=32,
        ).eval(),
        ["sample"],
        lambda o: o[0],
        return_dict=False,
    ), dict(sample=t(1, 3, 32, 32))


@arch
def oobleck():
    return Dec(
        D.AutoencoderOobleck(
            encoder_hidden_size=8,
            decoder_channels=8,
            decoder_input_channels=8,
            downsampling_ratios=[2, 4],
            channel_multiples=[1, 2],
        ).eval()
    ), dict(z=t(1, 8, 20))


@arch
def dcae():
    return Dec(
        D.AutoencoderDC(
            in_channels=3,
            latent_channels=4,
            encoder_block_out_channels=(16, 32),
            decoder_block_out_channels=(16, 32),
            encoder_layers_per_block=(1, 1),
            decoder_layers_per_block=(1, 1),
            encoder_qkv_multiscales=((), (5,)),
            decoder_qkv_multiscales=((), (5,)),
            encoder_block_types=("ResBlock", "EfficientViTBlock"),
            decoder_block_types=("ResBlock", "EfficientViTBlock"),
            attention_head_dim=8,
        ).eval()
    ), dict(z=t(1, 4, 8, 8))


@arch
def svd_unet():
    return df(
        D.UNetSpatioTemporalConditionModel,
        dict(
            sample=t(1, 2, 8, 16, 16), timestep=torch.tensor([10.0]), encoder_hidden_states=t(1, 1, 32), added_time_ids=t(1, 3)
        ),
        block_out_channels=(32, 64),
        layers_per_block=1,
        cross_attention_dim=32,
        num_attention_heads=(2, 4),
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        projection_class_embeddings_input_dim=96,
        addition_time_embed_dim=32,
        transformer_layers_per_block=1,
    )


@arch
def sana():
    return df(
        D.SanaTransformer2DModel,
        dict(hidden_states=t(1, 4, 8, 8), encoder_hidden_states=t(1, 7, 32), timestep=torch.tensor([10])),
        in_channels=4,
        out_channels=4,
        num_attention_heads=4,
        attention_head_dim=16,
        num_layers=2,
        num_cross_attention_heads=4,
        cross_attention_head_dim=16,
        cross_attention_dim=64,
        caption_channels=32,
        sample_size=8,
        patch_size=1,
    )


@arch
def aura():
    return df(
        D.AuraFlowTransformer2DModel,
        dict(hidden_states=t(1, 4, 16, 16), encoder_hidden_states=t(1, 7, 32), timestep=torch.tensor([0.5])),
        sample_size=16,
        in_channels=4,
        num_mmdit_layers=1,
        num_single_dit_layers=1,
        attention_head_dim=16,
        num_attention_heads=4,
        joint_attention_dim=32,
        caption_projection_dim=64,
        out_channels=4,
        pos_embed_max_size=64,
    )


@arch
def stable_audio():
    return df(
        D.StableAudioDiTModel,
        dict(
            hidden_states=t(1, 8, 20),
            timestep=torch.tensor([10.0]),
            encoder_hidden_states=t(1, 7, 32),
            global_hidden_states=t(1, 1, 48),
        ),
        sample_size=20,
        in_channels=8,
        out_channels=8,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=4,
        num_key_value_attention_heads=2,
        cross_attention_dim=32,
        cross_attention_input_dim=32,
        time_proj_dim=16,
        global_states_input_dim=48,
    )
