"""The Chinese texts of the pages and figures, by the English ones."""

TEXTS = {
  ', ': '、',
  # The page of runs.
  '{network} on {source}': '{source} 上的 {network}',
  'Follows the run; drawn on {date}.': '跟踪训练进展；绘制于 {date}。',
  'Written on {date}.': '生成于 {date}。',
  'Runs': '各次训练',
  'run': '训练',
  'network': '网络',
  'step': '步',
  '95 % confidence interval': '95 % 置信区间',
  'loss': '损失',
  'images': '图像数',
  'training, [h:]min:s': '训练时长，[时:]分:秒',
  'device-hours': '设备小时',
  'not evaluated yet': '尚未评估',
  'What differs in their configs': '配置的差异',
  'key': '键',
  'Nothing: the configs are equal.': '没有差异：配置相同。',
  'Curves': '曲线',
  'top-1, 95 % interval {low} – {high}': 'top-1，95 % 置信区间 {low} – {high}',
  'mean top-1 of the classes': '各类别 top-1 的平均值',
  'loss (nats)': '损失（nat）',
  'images of {split}': '{split} 的图像数',
  'training steps': '训练步数',
  '[h:]min:s of training, without evaluation': (
    '训练时长，[时:]分:秒，不含评估'
  ),
  'device-hours until step {step}, over all starts': (
    '到第 {step} 步为止的设备小时，所有启动合计'
  ),
  '{currency}, at {amount} for a device-hour': (
    '{currency}，每设备小时 {amount}'
  ),
  'This run has not been evaluated yet.': '这次训练尚未评估。',
  '{network} on {source}, trained on {devices}.': (
    '{source} 上的 {network}，训练设备：{devices}。'
  ),
  '{network} on {source}, trained on {devices}, {machine}.': (
    '{source} 上的 {network}，训练设备：{devices}，{machine}。'
  ),
  'unknown devices': '未知',
  '{count} cores of {name}': '{count} 核 {name}',
  'Wall time until the checkpoint of step {step}, over all starts: '
  'goodput {share} of {time}: {kinds}.': (
    '到第 {step} 步的检查点为止，所有启动合计总时间 {time}，有效时间占 '
    '{share}：{kinds}。'
  ),
  'steps': '训练步',
  'input': '等待输入',
  'evaluation': '评估',
  'saving': '保存',
  'compiling': '编译',
  'starting': '启动',
  'restarts': '重启',
  'other': '其他',
  'What the network sees': '网络所见的图像',
  'The first training images, cropped as in the first step, and augmented and '
  'mixed as in every step, with the weights of their labels.': (
    '最先的训练图像，裁剪与第一步相同，增强与混合的方式与每一步相同，并附其标签'
    '的权重。'
  ),
  'Confusion': '混淆',
  'A row has the images of one true label, which the outlined cell has right; '
  'columns are predictions.': (
    '每行是一个真实标签的图像，带框的单元格为预测正确的图像；列为预测。'
  ),
  'Most frequent confusions': '最常见的混淆',
  'true label': '真实标签',
  'prediction': '预测',
  'of the class': '占该类别',
  'Every image is classified correctly.': '所有图像都分类正确。',
  'Classes': '类别',
  'Lowest top-1 accuracy first; a heading sorts by its column.': (
    'top-1 准确率最低的在前；点击表头按该列排序。'
  ),
  'Filter {count} classes': '筛选 {count} 个类别',
  'Filter classes': '筛选类别',
  'class': '类别',
  'most often taken for': '最常被误认为',
  'Worst mistakes': '最严重的错误',
  'The misclassified images with the highest loss, each with its five most '
  'probable classes.': '损失最高的误分类图像，各附概率最高的五个类别。',
  'true label:': '真实标签：',
  'Config and versions': '配置与版本',
  'Config': '配置',
  'Versions and hardware': '版本与硬件',
  'devices': '设备',
  'machine': '主机',
  'this report': '本报告',
  # The curves.
  'Loss': '损失',
  'cross-entropy (nats)': '交叉熵（nat）',
  'Top-1 accuracy': 'top-1 准确率',
  'images (%)': '图像（%）',
  'Learning rate': '学习率',
  'rate': '学习率',
  'Throughput': '吞吐量',
  'images per second': '图像/秒',
  'training step': '训练步',
  'training': '训练',
  '{run}, {kind}': '{run}：{kind}',
  'evaluation, averaged weights': '评估，滑动平均权重',
  'evaluation, raw weights': '评估，原始权重',
  '▲ {count} above the axis, at most {value} at step {step}': (
    '▲ {count} 个点超出坐标轴，最高为第 {step} 步的 {value}'
  ),
  # The confusion matrices.
  'Confusion matrix': '混淆矩阵',
  '{some} of {count} classes, confused most often': (
    '{count} 个类别中混淆最多的 {some} 个'
  ),
  'All {count} classes, by number': '全部 {count} 个类别，按编号',
  'All {count} classes, by number, in blocks of {block}': (
    '全部 {count} 个类别，按编号，每 {block} 个一块'
  ),
  'images of the class (%)': '该类别的图像（%）',
  # The page of a dataset.
  'classes': '类别数',
  'that cannot be decoded': '无法解码',
  'there more than once': '重复出现',
  'of these in several splits': '其中出现在多个划分',
  'of these in several classes': '其中出现在多个类别',
  'JPEGs that EXIF turns': '由 EXIF 旋转的 JPEG',
  'Splits': '划分',
  'split': '划分',
  'fewest in a class': '最少的类别',
  'most in a class': '最多的类别',
  'most / fewest': '最多 / 最少',
  'smallest image': '最小的图像',
  'median': '中位数',
  'largest': '最大',
  'Width × height in pixels, as stored, by area.': (
    '宽 × 高（像素），按存储的方向，按面积比较。'
  ),
  'Formats and colours': '格式与颜色',
  'format': '格式',
  'raw': '未编码',
  'not known': '未知',
  "Pillow's mode": 'Pillow 的模式',
  'Images that cannot be decoded': '无法解码的图像',
  'image': '图像',
  'reason': '原因',
  'And {count} more.': '另有 {count} 张。',
  'Images that are there more than once': '重复出现的图像',
  'The first {count}': '前 {count} 组',
  'Pictures are the central squares of a few images of {split}, drawn at '
  'random, of {count} classes.': (
    '图片为 {split} 中随机抽取的若干图像的中央正方形，共 {count} 个类别。'
  ),
  'Pictures are the central squares of a few images of {split}, drawn at '
  'random.': '图片为 {split} 中随机抽取的若干图像的中央正方形。',
  'pictures': '图片',
  'Images of each class': '各类别的图像数',
  'class, by its number of images': '类别，按图像数排列',
  'Shorter side': '较短的边',
  'pixels': '像素',
  'Aspect ratio': '宽高比',
  'width / height': '宽 / 高',
}
